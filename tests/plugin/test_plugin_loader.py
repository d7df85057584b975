"""TensorBoard must survive gradscope, whatever is wrong with it."""

import argparse
import os
import pathlib
import subprocess
import sys
import textwrap
import types

import pytest
import tensorboard
from plugin_list import tabs
from tensorboard.plugins import base_plugin

from gradscope_plugin.loader import LOADER, SAMPLES

NOT_AVAILABLE = (
    f"gradscope's tab is not available in TensorBoard {tensorboard.__version__}"
    ", for the reason below; the other tabs are."
)


@pytest.mark.parametrize(
    "given, kept",
    [
        ({}, {"gradscope": SAMPLES}),
        ({"scalars": 5}, {"scalars": 5, "gradscope": SAMPLES}),
        ({"gradscope": 0}, {"gradscope": 0}),
        ({"gradscope": 7}, {"gradscope": 7}),
    ],
)
def test_enough_records_are_kept_unless_the_user_chose(given, kept):
    flags = argparse.Namespace(samples_per_plugin=given)
    LOADER.fix_flags(flags)
    assert flags.samples_per_plugin == kept


@pytest.mark.parametrize("samples", [None, "gradscope=3"])
def test_unknown_flags_do_not_raise_and_the_user_may_set_them(samples, caplog):
    LOADER.fix_flags(argparse.Namespace(samples_per_plugin=samples))
    LOADER.fix_flags(argparse.Namespace())
    assert [record.getMessage() for record in caplog.records] == 2 * [
        "gradscope cannot set how many recorded steps TensorBoard "
        f"{tensorboard.__version__} keeps of each run, so the tab may lack "
        "some. Start TensorBoard with --samples_per_plugin=gradscope=5000."
    ]


def test_without_a_data_provider_there_is_no_plugin():
    assert LOADER.load(base_plugin.TBContext(data_provider=None)) is None


def test_a_broken_plugin_is_left_out_with_a_warning(monkeypatch, caplog):
    broken = types.ModuleType("gradscope_plugin.plugin")
    monkeypatch.setitem(sys.modules, "gradscope_plugin.plugin", broken)
    monkeypatch.setattr("gradscope_plugin.plugin", broken, raising=False)
    context = base_plugin.TBContext(data_provider=object())
    assert LOADER.load(context) is None
    assert NOT_AVAILABLE in caplog.text


def test_a_plugin_that_cannot_be_imported_is_left_out(monkeypatch, caplog):
    monkeypatch.delattr("gradscope_plugin.plugin", raising=False)
    monkeypatch.setitem(sys.modules, "gradscope_plugin.plugin", None)
    context = base_plugin.TBContext(data_provider=object())
    assert LOADER.load(context) is None
    assert NOT_AVAILABLE in caplog.text


def _imported_by(statement):
    code = f"{statement}; import sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_the_plugin_never_imports_tensorflow():
    assert "tensorflow" not in _imported_by("import gradscope_plugin.plugin")


def test_the_loader_alone_imports_neither_the_plugin_nor_numpy():
    imported = _imported_by("import gradscope_plugin.loader")
    assert not imported & {"gradscope_plugin.plugin", "gradscope", "numpy"}


def test_the_entry_point_leads_to_the_loader():
    from importlib.metadata import entry_points

    (point,) = entry_points(group="tensorboard_plugins", name="gradscope")
    assert point.load() is LOADER


#: What may be wrong with gradscope, or missing on the machine.
BROKEN = {
    "raises": "raise RuntimeError('broken')",
    "exits": "raise SystemExit(3)",
    "syntax": "def (",
    "missing": None,
    "numpy": "import numpy",
}


@pytest.mark.parametrize("how", BROKEN)
def test_whatever_is_broken_the_plugin_is_left_out(tmp_path, how):
    _break(tmp_path, BROKEN[how])
    script = """
        import sys
        if sys.argv[1] == "numpy":
            sys.modules["numpy"] = None
        if sys.argv[1] == "missing":
            sys.modules["gradscope"] = None
        from gradscope_plugin.loader import LOADER
        from tensorboard.plugins import base_plugin
        LOADER.fix_flags(None)
        context = base_plugin.TBContext(data_provider=object())
        print(LOADER.load(context))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), how],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=_environment(tmp_path),
    )
    assert done.stdout == "None\n", done.stderr
    assert NOT_AVAILABLE in done.stderr


def test_tensorboard_lives_on_without_a_broken_gradscope(tmp_path):
    _break(tmp_path, BROKEN["raises"])
    logdir = tmp_path / "logs"
    logdir.mkdir()
    tensorboard = pathlib.Path(sys.executable).with_name("tensorboard")
    found = tabs(tensorboard, logdir, _environment(tmp_path))
    assert "gradscope" not in found
    assert {"scalars", "histograms", "text"} <= set(found)


def _break(directory, text):
    """Puts another package of our name in front of ours."""
    package = directory / "gradscope"
    package.mkdir()
    (package / "__init__.py").write_text(text or "")


def _environment(directory):
    root = str(pathlib.Path(__file__).parents[2])
    return {**os.environ, "PYTHONPATH": f"{directory}:{root}"}
