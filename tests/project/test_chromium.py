"""Which Chromium the tests, pictures and benchmarks use."""

import pytest

from tools import chromium


def program(folder, name):
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The only folder in PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CHROMIUM", raising=False)
    return tmp_path


def test_the_headless_shell_comes_first(folder):
    full = program(folder, "chromium")
    assert chromium.path() == full
    shell = program(folder, "chromium-headless-shell")
    assert chromium.path() == shell


def test_the_environment_chooses(folder, monkeypatch):
    program(folder, "chromium")
    monkeypatch.setenv("CHROMIUM", program(folder, "my-chrome"))
    assert chromium.path() == str(folder / "my-chrome")


def test_where_none_is_the_error_says_how_to_get_it(folder):
    with pytest.raises(
        FileNotFoundError,
        match=r"looked for chromium-headless-shell and chromium in PATH\. "
        r"Install it \(Debian: apt-get install chromium-headless-shell\)",
    ):
        chromium.path()
