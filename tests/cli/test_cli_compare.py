"""`gradscope compare`, as a user or a script calls it."""

import json

import pytest
import runs
import synthetic

import gradscope
from gradscope.cli import main
from gradscope.comparing import comparison_text


@pytest.fixture
def compare(capsys):
    """Runs the command; returns the exit code and what it printed."""

    def compare(*arguments):
        code = main.main(["compare", *map(str, arguments)])
        return code, *capsys.readouterr()

    return compare


@pytest.fixture
def logdir(tmp_path):
    runs.healthy(tmp_path, "good", layers=4, steps=100)
    runs.vanishing(tmp_path, "bad", layers=4, steps=100)
    described, steps = runs.network(4), runs.dense_then_sparse(100)
    gradients = runs.noisy(steps, 8, 0.5, seed=1)
    runs.write(tmp_path, "other", described, steps, runs.statistics(gradients))
    return tmp_path


def test_the_first_line_is_the_verdict(compare, logdir):
    code, out, err = compare(logdir / "good", logdir / "bad")
    assert (code, err) == (0, "")
    assert out.startswith(
        "The two runs part at step 0, first in layer `dense_1`"
    )
    assert max(map(len, out.splitlines())) <= 80
    # Runs are told apart by what is not common to their directories.
    assert " in good and " in out and " in\n    bad. " in out
    code, out, _ = compare(logdir / "good", logdir / "good")
    assert out.startswith("The two runs are the same bit for bit in 55 common")


def test_a_script_asks_for_an_exit_code(compare, logdir):
    good, bad = logdir / "good", logdir / "bad"
    assert compare(good, bad, "--exit-code")[0] == 1
    assert compare(good, good, "--exit-code")[0] == 0
    assert compare(good, logdir / "none")[0] == 2


def test_a_run_that_is_not_there_is_an_error(compare, logdir):
    code, out, err = compare(logdir / "good", logdir / "nowhere")
    assert code == 2 and out == "" and "no directory" in err


def test_the_tolerance_is_the_users(compare, logdir):
    arguments = (logdir / "good", logdir / "other", "--tolerance", "0.99")
    assert compare(*arguments)[1].startswith("The two runs are the same within")


def test_json_has_what_python_has(compare, logdir):
    code, out, _ = compare(logdir / "good", logdir / "bad", "--json")
    told = json.loads(out)
    found = gradscope.compare(logdir / "good", logdir / "bad")
    assert code == 0 and told == json.loads(json.dumps(found.to_dict()))
    assert set(told) == {
        "version", "runs", "verdict", "same", "same_bits", "tolerance",
        "steps", "sketched_steps", "differs_from", "parting", "matched_by",
        "layers", "variables", "configuration", "only", "notes",
    }  # fmt: skip
    assert told["version"] == comparison_text.JSON_VERSION == 1
    assert told["parting"]["step"] == 0
    assert told["steps"]["common"] == 55
    assert [row["layer"] for row in told["layers"]] == list(found.layers)
    assert set(told["variables"][0]["gradient_norm"]) == {"median", "largest"}


def test_json_has_no_number_that_json_does_not_know():
    bad = synthetic.record(synthetic.network(), gradient_norm=float("inf"))
    none = synthetic.record(synthetic.network(), gradient_norm=float("nan"))
    found = gradscope.compare(bad, none)
    told = json.loads(comparison_text.to_json(found))
    assert told["parting"]["a"] is None and told["parting"]["b"] is None
    both = json.loads(comparison_text.to_json(gradscope.compare(none, none)))
    assert both["layers"][0]["gradient_norm"]["median"] is None


def test_noise_is_told_as_such():
    named = {"dense_1/kernel": 1e-9, "dense_1/bias": 1e-9}
    quiet = synthetic.record(synthetic.network(), gradient_norm=named)
    named = {name: 2e-9 for name in named}
    other = synthetic.record(synthetic.network(), gradient_norm=named)
    words = str(gradscope.compare(quiet, other))
    (line,) = [x for x in words.splitlines() if x.startswith("  dense_1 ")]
    assert line.split() == ["dense_1", "noise", "0", "(0)", "0", "(0)"]
    assert "below 1e-4 of the largest" in words


def test_names_from_files_cannot_move_the_cursor(compare, tmp_path):
    described = runs.network(2, name="\033[2Jdense_{}")
    for name, norm in (("a", 0.1), ("b", 0.2)):
        steps = runs.np.arange(5)
        gradients = runs.np.full((5, 4), norm)
        runs.write(tmp_path, name, described, steps, runs.statistics(gradients))
    _, out, _ = compare(tmp_path / "a", tmp_path / "b")
    assert "\033" not in out and "\\x1b[2Jdense_1" in out


def test_long_tables_say_what_they_leave_out(compare, tmp_path):
    runs.healthy(tmp_path, "a", layers=60, steps=5)
    runs.healthy(tmp_path, "b", layers=90, steps=5)
    _, out, _ = compare(tmp_path / "a", tmp_path / "b")
    assert "and 20 more layers (--json lists all)" in out
    assert "and 50 more" in out
