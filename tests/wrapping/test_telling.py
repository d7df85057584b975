"""What `Callback` says at the end of a training."""

import keras
import numpy as np
import pytest

import gradscope
from gradscope.errors import GradscopeWarning
from gradscope.reading import event_files
from gradscope.wrapping import end_report


@pytest.fixture
def fit(tmp_path):
    """Trains a network for 30 steps; the last loss."""

    def fit(start="zeros", callback=None, **options):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.layers.Dense(8, "tanh", kernel_initializer=start),
                keras.layers.Dense(4, kernel_initializer=start),
            ]
        )
        model.compile(keras.optimizers.SGD(0.1), "mse")
        x = np.random.default_rng(0).normal(size=[60, 4])
        callback = callback or gradscope.Callback(tmp_path, **options)
        done = model.fit(
            x, x, batch_size=2, verbose=0, callbacks=[callback], epochs=1
        )
        return done.history["loss"][-1]

    return fit


def texts(tmp_path):
    return [
        value.tensor.string_val[0].decode()
        for path in event_files.event_files(str(tmp_path / "gradscope"))
        for event in event_files.events(path)
        for value in event.summary.value
        if value.metadata.plugin_data.plugin_name == "text"
    ]


def test_what_is_wrong_is_printed_and_kept_as_text(fit, tmp_path, capsys):
    fit()
    printed = capsys.readouterr().err
    (found,) = gradscope.diagnose(tmp_path)
    assert found.kind == "zero-init"
    assert f"gradscope: {tmp_path}: 1 error" in printed
    assert f"error: zero-init in `{found.layer}`" in printed
    (text,) = texts(tmp_path)
    assert "**error: zero-init**" in text and found.remedy in text


def test_a_healthy_run_prints_nothing(fit, tmp_path, capsys):
    fit("glorot_uniform")
    assert "gradscope" not in capsys.readouterr().err
    assert texts(tmp_path) == []


def test_findings_can_be_switched_off(fit, tmp_path, capsys):
    loss = fit(findings=False)
    assert "gradscope" not in capsys.readouterr().err
    assert texts(tmp_path) == []
    # They change nothing.
    assert loss == fit(callback=gradscope.Callback(tmp_path / "other"))


def test_the_same_findings_are_told_once(fit, tmp_path, capsys):
    callback = gradscope.Callback(tmp_path)
    fit(callback=callback)
    assert "zero-init" in capsys.readouterr().err
    callback._fits.present.observed._print_findings()
    assert capsys.readouterr().err == ""


def test_a_diagnosis_that_fails_is_a_warning(fit, monkeypatch):
    monkeypatch.setattr(end_report, "diagnose", lambda record: 1 / 0)
    with pytest.warns(GradscopeWarning, match="could not diagnose .*ZeroDiv"):
        fit()


def test_a_long_record_is_left_to_the_command(
    fit, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(end_report, "MOST_BYTES", 10)
    fit()
    printed = capsys.readouterr()
    assert f"run `gradscope diagnose {tmp_path}`" in printed.err
    assert texts(tmp_path) == []
