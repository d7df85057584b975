"""`gradscope watch`: findings as they appear."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import runs

from gradscope.cli import main, watch
from gradscope.reading import growth


@pytest.fixture
def follow(capsys, monkeypatch):
    """Runs the command; between two looks it does what is next on a list.

    Returns the exit code, the lines that were printed, and the errors.
    """

    def follow(logdir, *arguments, happens=()):
        events = iter(happens)

        def rest(seconds):
            assert seconds >= 5
            event = next(events, None)
            if event is None:
                raise KeyboardInterrupt
            event()

        monkeypatch.setattr(watch, "rest", rest)
        code = main.main(["watch", str(logdir), *arguments])
        out, err = capsys.readouterr()
        return (
            code,
            [re.sub(r"^[\d:]{8} ", "", x) for x in out.splitlines()],
            err,
        )

    return follow


def write_steps(logdir, first, last, gradients, name="run"):
    steps = np.arange(first, last)
    numbers = np.full([len(steps), 6], gradients)
    runs.write(logdir, name, runs.network(3), steps, runs.statistics(numbers))


def test_each_finding_is_a_line_when_it_appears(follow, tmp_path):
    code, lines, err = follow(
        tmp_path,
        happens=[
            lambda: write_steps(tmp_path, 0, 40, 0.5),
            lambda: write_steps(tmp_path, 40, 80, np.nan),
            lambda: write_steps(tmp_path, 80, 120, np.nan),
        ],
    )
    assert code == 0 and err == ""
    assert len(lines) == 2
    assert lines[0].startswith("run: error: non-finite in `dense_3`, since ste")
    assert lines[1] == "stopped: 1 error in 1 run"


def test_runs_that_begin_later_are_followed_too(follow, tmp_path):
    write_steps(tmp_path, 0, 40, 0.5, "first")
    _, lines, _ = follow(
        tmp_path,
        happens=[lambda: write_steps(tmp_path, 0, 40, np.nan, "second")],
    )
    assert lines[0].startswith("second: error: non-finite")
    assert lines[-1] == "stopped: 1 error in 2 runs"


def test_exit_codes_are_those_of_diagnose(follow, tmp_path):
    write_steps(tmp_path, 0, 40, np.nan)
    assert follow(tmp_path)[0] == 0
    assert follow(tmp_path, "--fail-on", "error")[0] == 1
    runs.bad_schema(tmp_path)
    code, _, err = follow(tmp_path, "--fail-on", "error")
    assert code == 5 and "format 99" in err
    code, lines, err = follow(tmp_path / "none")
    assert code == 2 and "there is no directory" in err
    assert lines == ["stopped: nothing found in 0 runs"]


def test_a_healthy_training_has_nothing_but_its_end(follow, tmp_path):
    write_steps(tmp_path, 0, 40, 0.5)
    assert follow(tmp_path)[1] == ["stopped: nothing found in 1 run"]


def test_it_ends_when_the_process_has_ended(follow, tmp_path):
    write_steps(tmp_path, 0, 40, 0.5)
    (path,) = growth.sizes([tmp_path / "run" / "gradscope"])
    process = subprocess.Popen([sys.executable, "-c", ""])
    name = path.replace(f".{os.getpid()}.", f".{process.pid}.")
    os.rename(path, name)
    assert growth.has_writer([name])  # it is not waited for yet
    process.wait()
    _, lines, _ = follow(tmp_path, happens=[lambda: None] * 3)
    assert lines == ["the training has ended: nothing found in 1 run"]


def test_it_ends_after_a_silence(follow, tmp_path, monkeypatch):
    write_steps(tmp_path, 0, 40, 0.5)
    _, lines, _ = follow(tmp_path, "--timeout", "0", happens=[lambda: None] * 3)
    assert lines == ["no step for 0 seconds: nothing found in 1 run"]


@pytest.mark.parametrize(
    "name, is_written",
    [
        ("events.out.tfevents.1700000000.another.host.1.000000", True),
        (
            f"events.out.tfevents.1700000000.{growth.socket.gethostname()}."
            f"{os.getpid()}.000000",
            True,
        ),
        (
            f"events.out.tfevents.1700000000.{growth.socket.gethostname()}."
            "999999999.000000",
            False,
        ),
        ("renamed.tfevents", True),
    ],
    ids=["another host", "this process", "no process", "renamed"],
)
def test_whether_a_file_may_be_written_follows_from_its_name(name, is_written):
    assert growth.has_writer([f"/logs/{name}"]) == is_written
