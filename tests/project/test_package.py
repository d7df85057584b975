"""What is installed: complete, and cheap to import."""

import json
import pathlib
import re
import subprocess
import sys
import textwrap
import zipfile
from importlib import metadata

import pytest
import runs
from install_wheel import PACKAGES
from plugin_list import tabs

import gradscope

ROOT = pathlib.Path(__file__).parents[2]
#: A virtual environment that holds the wheel alone, see install_wheel.py.
INSTALLED = ROOT / ".venv-wheel"


@pytest.fixture(scope="module")
def wheel():
    """Returns the wheel, built from the source distribution."""
    (path,) = (INSTALLED / "dist").glob("*.whl")
    return path


def run(*command, **options):
    """Runs a command and returns its output; it must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_every_file_of_both_packages(wheel):
    inside = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        f"{package}/{path.relative_to(ROOT / directory).as_posix()}"
        for package, directory in PACKAGES.items()
        for path in (ROOT / directory).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {
        "gradscope/py.typed",
        "gradscope_examples/digits.npz",
        "gradscope_examples/tumours.npz",
        "gradscope_plugin/py.typed",
        "gradscope_plugin/http_api.md",
        "gradscope_plugin/static/index.js",
    } <= wanted
    assert wanted <= inside


def test_the_wheel_holds_nothing_else(wheel):
    inside = zipfile.ZipFile(wheel).namelist()
    information = f"gradscope-{gradscope.__version__}.dist-info"
    tops = {name.split("/")[0] for name in inside}
    assert tops == {*PACKAGES, information}
    assert any(name.endswith("LICENSE") for name in inside)


def test_a_package_index_would_take_the_wheel_and_the_source(wheel):
    run(sys.executable, "-m", "check_wheel_contents", wheel, cwd=ROOT)
    files = sorted(wheel.parent.iterdir())
    assert [path.suffix for path in files] == [".whl", ".gz"]
    run(sys.executable, "-m", "twine", "check", "--strict", *files)


def test_beside_this_tensorflow_it_replaces_no_package(wheel):
    # Without an index, what is not yet installed is an error.
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index"]
    report = json.loads(run(*pip, "--dry-run", "--report", "-", wheel))
    names = {package["metadata"]["name"] for package in report["install"]}
    assert names <= {"gradscope"}


def test_the_version_is_that_of_setup_cfg():
    assert gradscope.__version__ == metadata.version("gradscope")
    setup = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    assert f"version = {gradscope.__version__}\n" in setup


def test_the_newest_version_is_in_the_changelog():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[(.+?)\]", changelog, re.MULTILINE)
    assert newest[1] == gradscope.__version__


def test_every_public_name_resolves_and_they_are_sorted():
    assert gradscope.__all__ == sorted(gradscope.__all__)
    assert set(gradscope.__all__) <= set(dir(gradscope))
    assert all(hasattr(gradscope, name) for name in gradscope.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'warp'"):
        gradscope.warp  # noqa: B018


@pytest.mark.parametrize(
    "modules",
    [
        "gradscope",
        "gradscope.reading.read, gradscope.format.schema, gradscope.schedule",
        "gradscope.cli.main",
        "gradscope.notebook, gradscope_plugin.report.build",
        "gradscope_plugin.loader",
        "gradscope_plugin.plugin",
    ],
)
def test_reading_does_not_import_tensorflow(modules):
    code = f"import sys, {modules}; print('tensorflow' in sys.modules)"
    assert run(sys.executable, "-c", code) == "False\n"


def test_without_tensorflow_wrapping_says_what_to_install():
    script = """
        import sys
        sys.modules["tensorflow"] = None
        import gradscope
        try:
            gradscope.wrap
        except ModuleNotFoundError as error:
            print(error)
    """
    told = run(sys.executable, "-c", textwrap.dedent(script))
    assert told.startswith("gradscope.wrap needs tensorflow, which is not")
    assert "pip install 'gradscope[tensorflow]'" in told


def test_without_tensorflow_tensorboard_and_the_command_work(tmp_path):
    logdir = tmp_path / "logs"
    runs.healthy(logdir, "healthy", layers=2, steps=20)
    installed = run(INSTALLED / "bin/python", "-m", "pip", "list")
    assert "tensorflow" not in installed and "keras" not in installed

    table = tmp_path / "run.csv"
    command = INSTALLED / "bin/gradscope"
    run(command, "export", logdir / "healthy", "--csv", table)
    assert table.read_text().startswith("step,row,statistic,value\n0,dense_1")

    assert tabs(INSTALLED / "bin/tensorboard", logdir)["gradscope"]["enabled"]
