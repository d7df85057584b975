"""Builds the wheel as for a release, and installs it without TensorFlow.

    python tests/support/install_wheel.py FOLDER

FOLDER becomes a virtual environment, with the wheel in FOLDER/dist. `make test`
does so before the tests, of which none installs anything.
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parents[2]
#: Packages and their folders.
PACKAGES = {
    "gradscope": "gradscope",
    "gradscope_examples": "examples",
    "gradscope_plugin": "gradscope_plugin",
}


def main(folder):
    subprocess.run(
        [sys.executable, "-m", "venv", "--clear", folder], check=True
    )
    python = folder / "bin" / "python"
    with tempfile.TemporaryDirectory() as source:
        # A copy: builds leave files behind that the next one would pick up.
        copy_sources(pathlib.Path(source))
        build = [sys.executable, "-m", "build", "--outdir", folder / "dist"]
        subprocess.run([*build, source], check=True, stdout=subprocess.DEVNULL)
    (wheel,) = (folder / "dist").glob("*.whl")
    install = [python, "-m", "pip", "install", "--quiet", wheel]
    subprocess.run(install, check=True)


def copy_sources(target):
    ignored = shutil.ignore_patterns("__pycache__")
    for package in PACKAGES.values():
        shutil.copytree(ROOT / package, target / package, ignore=ignored)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, target)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).absolute())
