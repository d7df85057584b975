"""`gradscope diagnose`, as a user or a CI job calls it."""

import json
import os

import pytest
import runs

import gradscope
from gradscope.cli import main
from gradscope.diagnosis import findings_text
from gradscope.diagnosis.finding import Finding
from gradscope.format import schema
from gradscope.reading import event_files
from gradscope.recording import event_writer


@pytest.fixture
def diagnose(capsys):
    """Runs the command; returns the exit code and what it printed."""

    def diagnose(*arguments):
        try:
            code = main.main(["diagnose", *map(str, arguments)])
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return diagnose


@pytest.fixture
def logdir(tmp_path):
    """Two runs, one of them with a vanishing gradient."""
    runs.healthy(tmp_path, "good")
    runs.vanishing(tmp_path, "bad")
    return tmp_path


def event_file(logdir, run):
    (path,) = event_files.event_files(
        os.path.join(logdir, run, schema.DIRECTORY)
    )
    return path


def test_the_findings_of_all_runs_in_words(diagnose, logdir):
    code, out, err = diagnose(logdir)
    assert code == 0 and err == ""
    assert "good: nothing found" in out
    assert "bad: 1 warning" in out
    assert "warning: vanishing-gradient in `dense_1`, from the first" in out
    assert "(limit 0.01)" in out
    assert max(map(len, out.splitlines())) <= 80
    assert "\033" not in out


def test_a_run_of_its_own(diagnose, logdir):
    for path in (logdir / "bad", logdir / "bad" / schema.DIRECTORY):
        assert "vanishing-gradient" in diagnose(path)[1]


def test_colours_for_those_who_want_them(diagnose, logdir, monkeypatch):
    assert "\033[33;1mwarning\033[0m" in diagnose(logdir, "--color=always")[1]
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert "\033" in diagnose(logdir)[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\033" not in diagnose(logdir)[1]


def test_json_has_the_findings_of_python(diagnose, logdir):
    code, out, _ = diagnose(logdir, "--json")
    told = json.loads(out)
    assert code == 0 and told["version"] == findings_text.JSON_VERSION
    assert [run["run"] for run in told["runs"]] == ["bad", "good"]
    found = [f.to_dict() for f in gradscope.diagnose(logdir / "bad")]
    assert [
        {k: v for k, v in f.items() if k != "run"}
        for f in told["runs"][0]["findings"]
    ] == [{k: v for k, v in f.items() if k != "run"} for f in found]
    assert told["runs"][1]["findings"] == [] and told["problems"] == []


@pytest.mark.parametrize(
    "level, code", [("error", 0), ("warning", 1), ("note", 1)]
)
def test_a_gate_for_ci(diagnose, logdir, level, code):
    assert diagnose(logdir, "--fail-on", level)[0] == code
    assert diagnose(logdir / "good", "--fail-on", level)[0] == 0


def test_limits_and_kinds_are_the_users(diagnose, logdir):
    strict = diagnose(logdir, "--set", "vanishing-gradient.ratio=1e-9")
    assert "vanishing-gradient" not in strict[1]
    ignoring = ["--ignore", "vanishing-gradient:dense_1"]
    assert "vanishing-gradient" not in diagnose(logdir, *ignoring)[1]
    code, out, _ = diagnose("--limits", logdir)
    assert code == 0 and "vanishing-gradient.ratio=0.01\n" in out


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--set", "nothing"], "--set takes LIMIT=VALUE, got 'nothing'"),
        (["--set", "a.b=1"], "there is no limit 'a.b'"),
        (["--set", "dead-relu.note=x"], "a number of 0 or more, got 'x'"),
        (["--ignore", "x"], "there is no kind of finding 'x'"),
    ],
)
def test_bad_options(diagnose, logdir, arguments, message):
    code, out, err = diagnose(logdir, *arguments)
    assert code == 2 and message in err and out == ""


def test_nothing_to_diagnose(diagnose, tmp_path):
    code, _, err = diagnose(tmp_path / "no")
    assert code == 2 and f"there is no directory {tmp_path / 'no'}" in err
    code, _, err = diagnose(tmp_path)
    assert code == 2 and "no event file" in err


def test_event_files_of_others_alone(diagnose, tmp_path):
    others = event_writer.EventWriter(str(tmp_path / "others"))
    others.write(0, 1.0, [event_writer.scalar_value("loss", 2.0)])
    others.close()
    code, _, err = diagnose(tmp_path)
    assert code == 3 and "none that gradscope wrote" in err
    assert "gradscope.wrap(optimizer, logdir)" in err


@pytest.mark.parametrize("cut", [1, 40])
def test_a_file_that_ends_within_a_record(diagnose, logdir, cut):
    path = event_file(logdir, "bad")
    os.truncate(path, os.path.getsize(path) - cut)
    code, out, err = diagnose(logdir)
    assert code == 4 and "bad: " in err and "ends within a record" in err
    assert "vanishing-gradient in `dense_1`" in out and "good: nothing" in out


def test_a_damaged_file(diagnose, logdir):
    path = event_file(logdir, "bad")
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 2)
        file.write(b"\xff" * 20_000)
    code, out, err = diagnose(logdir)
    assert code == 4 and "were not read" in err
    assert "good: nothing found" in out and "bad: 1 warning" in out


def test_nothing_but_damage(diagnose, logdir):
    with open(event_file(logdir, "bad"), "wb") as file:
        file.write(b"\xff" * 100)
    code, out, err = diagnose(logdir, "--json")
    assert code == 4 and "damaged at byte 0" in err
    told = json.loads(out)
    assert [run["run"] for run in told["runs"]] == ["good"]
    (problem,) = told["problems"]
    assert (problem["run"], problem["code"]) == ("bad", 4)


def test_no_step_yet(diagnose, logdir):
    path = event_file(logdir, "bad")
    os.truncate(path, 16 + len(next(event_files._records(path))))
    code, _, err = diagnose(logdir)
    assert code == 3 and "no recorded step yet" in err


def test_a_newer_format(diagnose, logdir):
    runs.bad_schema(logdir, "newer")
    code, out, err = diagnose(logdir)
    assert code == 5 and "upgrade gradscope" in err
    assert "good: nothing found" in out


def test_names_from_files_cannot_move_the_cursor():
    found = Finding(
        "zero-init",
        "error",
        "run\033[2J",
        "dense\033]0;x\a",
        (0, 3),
        "All is zero\033[1A",
        {"layers": ["\033[2J"]},
        "x",
        "y",
    )
    told = findings_text.text(found.run, [found])
    assert "\033" not in told and "\a" not in told
    assert "dense\\x1b]0;x\\x07" in told
