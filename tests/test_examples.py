"""The examples show what they promise, run as a reader runs them."""

import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import gradscope

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"


def run(name, logdir):
    """Runs an example and returns what it prints."""
    command = [sys.executable, EXAMPLES / f"{name}.py", "--logdir", logdir]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def vanishing(tmp_path_factory):
    """The logs and the output of the vanishing gradient's two runs."""
    logdir = tmp_path_factory.mktemp("vanishing")
    output = run("vanishing_middle_layer", logdir)
    return logdir / "vanishing_middle_layer", output


def first_to_last(run_dir):
    """Returns the first kernel's gradient rms over that of the last."""
    record = gradscope.read(run_dir)
    rms = np.sqrt(np.mean(record["gradient_rms"] ** 2, axis=0))
    kernels = [n for n, v in enumerate(record.variables) if "kernel" in v]
    return rms[kernels[0]] / rms[kernels[-1]]


def final_loss(variant, output):
    (line,) = (x for x in output.splitlines() if x.startswith(variant))
    return float(line.split("1000 steps ")[1].split(",")[0])


def test_in_the_broken_network_the_gradient_vanishes(vanishing):
    logdir, output = vanishing
    assert first_to_last(logdir / "broken") < 1 / 100
    assert final_loss("broken", output) == pytest.approx(1 / 3, rel=0.1)


def test_in_the_repaired_network_it_does_not(vanishing):
    logdir, output = vanishing
    assert first_to_last(logdir / "repaired") > 1 / 10
    assert final_loss("repaired", output) < 0.003


@pytest.mark.parametrize("variant", ["broken", "repaired"])
def test_the_clipping_is_not_the_cause(vanishing, variant):
    record = gradscope.read(vanishing[0] / variant)
    clipped = record["gradient_max"].max(axis=1) > 4.5
    assert clipped.mean() < 0.01
    if variant == "broken":
        assert not clipped.any()


@pytest.mark.parametrize("variant", ["broken", "repaired"])
def test_all_steps_that_are_due_are_there(vanishing, variant):
    record = gradscope.read(vanishing[0] / variant)
    due = [s for s in range(10_000) if s < 50 or s % 10 == 0]
    assert record.steps.tolist() == due
    assert not record["dropped"].any()


def test_the_digits_are_learned_and_every_layer_gets_its_gradient(tmp_path):
    output = run("digits", tmp_path)
    assert float(output.splitlines()[0].split()[-1]) > 0.95
    record = gradscope.read(tmp_path / "digits" / "healthy")
    norms = np.median(record.by_layer("gradient_norm"), axis=0)
    ratios = np.median(record.by_layer("update_to_weight_ratio"), axis=0)
    assert norms.max() < 10 * norms.min()
    assert ((ratios > 1e-4) & (ratios < 1e-2)).all()


def test_every_example_is_in_the_index_and_in_the_demo():
    index = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    makefile = (EXAMPLES.parent / "Makefile").read_text(encoding="utf-8")
    (demo,) = (x for x in makefile.splitlines() if x.startswith("EXAMPLES :="))
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    assert names == set(demo.split()[2:])
    assert all(f"({name}.py)" in index for name in names)


def test_the_programs_of_the_readme_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    readme = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    programs = [part.split("```")[0] for part in readme.split("```python")[1:]]
    x = np.random.default_rng(0).normal(size=[64, 4]).astype("float32")
    names = {"x": x, "y": x[:, :1]}
    exec(programs[0], names)
    (reading,) = (p for p in programs if p.startswith("\nrecord ="))
    exec(reading, names)
    assert names["record"].steps.tolist() == list(range(20))
    (findings,) = (p for p in programs if p.startswith("\nfor finding in"))
    exec(findings, names)
    (test,) = (p for p in programs if p.startswith("\ndef test_"))
    model = keras.models.clone_model(names["model"])
    model.compile("adam", "mse")
    names["build_model"] = lambda: model
    exec(test, names)
    names["test_the_training_is_healthy"](tmp_path / "healthy")
