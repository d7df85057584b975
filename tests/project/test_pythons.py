"""Which Python an environment is made with, where several may be there."""

import pathlib
import sys

from tools import pythons


def script(path, status):
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\nexit {status}\n")
    path.chmod(0o755)
    return str(path)


def test_a_command_for_a_version_that_is_not_there_is_passed_over(
    tmp_path, monkeypatch
):
    shim = script(tmp_path / "shims" / "python3.98", 127)
    versions = tmp_path / ".pyenv" / "versions"
    real = script(versions / "3.98.1" / "bin" / "python3.98", 0)
    monkeypatch.setenv("PATH", str(pathlib.Path(shim).parent), prepend=":")
    monkeypatch.setattr(pathlib.Path, "home", lambda: tmp_path)
    assert pythons.find("python3.98") == real


def test_without_the_version_it_is_this_one_and_says_so(capsys):
    assert pythons.find("python3.98") == sys.executable
    assert "there is no python3.98" in capsys.readouterr().out
