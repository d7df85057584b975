"""`record.plot`: figures of matplotlib."""

import sys

import matplotlib
import numpy as np
import pytest
import runs

import gradscope
from gradscope.drawing import palette

matplotlib.use("agg")


@pytest.fixture(scope="module")
def logdir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("logs")
    runs.abnormal(directory)
    runs.vanishing(directory)
    runs.layered(directory, steps=160)
    return directory


@pytest.fixture(scope="module")
def abnormal(logdir):
    return gradscope.read(logdir / "abnormal")


def test_a_heatmap_has_a_row_for_each_layer_and_the_pages_colours(abnormal):
    figure = abnormal.plot("gradient_norm")
    ax, bar = figure.axes
    assert [t.get_text() for t in ax.get_yticklabels()] == list(abnormal.layers)
    assert ax.yaxis_inverted() and ax.get_xlabel() == "step"
    (mesh,) = ax.collections
    colors = np.asarray(mesh.get_array()).reshape(6, 120, -1)
    assert (colors[0, 50] == palette.MARKS[palette.Kind.ZERO]).all()
    assert (colors[5, 100] == palette.MARKS[palette.Kind.NAN]).all()
    assert (colors[1, 100] == palette.MARKS[palette.Kind.MISSING]).all()
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert words == ["exactly zero", "NaN", "infinite", "no gradient"]
    assert bar.get_ylabel() == "gradient norm"
    assert bar.get_ylim() == pytest.approx((1e-8, 10))


def test_a_step_lasts_up_to_the_next(logdir):
    record = gradscope.read(logdir / "vanishing")
    (mesh,) = record.plot().axes[0].collections
    edges = np.asarray(mesh.get_coordinates())[0, :, 0]
    np.testing.assert_array_equal(edges[:-1], record.steps)
    assert edges[-1] == 400


def test_curves_leave_gaps_where_there_is_no_number(abnormal):
    (ax,) = abnormal.plot("gradient_norm", "curves").axes
    assert ax.get_yscale() == "log"
    assert [line.get_label() for line in ax.lines] == list(abnormal.layers)
    first, last = ax.lines[0].get_ydata(), ax.lines[5].get_ydata()
    assert np.isnan(first[30:]).all() and np.isfinite(first[:30]).all()
    assert np.isnan(last[90:]).all()


def test_a_depth_profile_is_a_curve_for_each_of_some_steps(logdir):
    record = gradscope.read(logdir / "vanishing")
    (ax,) = record.plot("gradient_norm", "depth").axes
    labels = [line.get_label() for line in ax.lines]
    assert labels == [f"step {record.steps[n]}" for n in (0, 21, 42, 63, 84)]
    expected = record.by_layer("gradient_norm")[-1]
    np.testing.assert_array_equal(ax.lines[-1].get_ydata(), expected)


def test_many_rows_have_a_bar_instead_of_names(logdir):
    ax, bar = gradscope.read(logdir / "vanishing").plot(kind="curves").axes
    assert ax.get_legend() is None
    ends = [label.get_text() for label in bar.get_yticklabels()]
    assert ends == ["dense_1", "dense_12"]


def test_a_scale_with_a_center_and_one_of_shares(logdir):
    record = gradscope.read(logdir / "layered")
    bar = record.plot("update_to_weight_ratio").axes[1]
    assert bar.get_ylim() == pytest.approx((1e-6, 1))
    bar = record.plot("dead_fraction").axes[1]
    assert bar.get_ylim() == (0, 1)
    bar = record.plot("gradient_norm", domain=(0.1, 1)).axes[1]
    assert bar.get_ylim() == pytest.approx((0.1, 1))


def test_a_figure_can_be_drawn_into_axes_of_the_users(abnormal):
    figure, axes = matplotlib.pyplot.subplots(1, 2)
    assert abnormal.plot(kind="depth", ax=axes[1]) is figure
    assert axes[1].lines and not axes[0].lines
    matplotlib.pyplot.close(figure)


def test_a_figure_is_not_left_open(abnormal):
    matplotlib.pyplot.close("all")
    abnormal.plot()
    assert not matplotlib.pyplot.get_fignums()


def test_wrong_arguments_are_refused(abnormal, logdir):
    with pytest.raises(ValueError, match="heatmap, curves, depth; got 'pie'"):
        abnormal.plot("gradient_norm", "pie")
    with pytest.raises(KeyError, match="no statistic 'nothing'"):
        abnormal.plot("nothing")
    with pytest.raises(ValueError, match="no row with the statistic 'dead_fra"):
        abnormal.plot("dead_fraction")


def test_without_matplotlib_it_says_what_to_install(abnormal, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=r"gradscope\[plot\]"):
        abnormal.plot()
