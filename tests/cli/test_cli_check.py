"""`gradscope check`, as a user or a script calls it."""

import hashlib
import json
import math
import subprocess
import sys

import keras
import numpy as np
import pytest

import gradscope
from gradscope.cli import main
from gradscope.cli.check import read_batch
from gradscope.evaluating.check_result import Check, LayerCheck, verdict

layers = keras.layers
rng = np.random.default_rng(0)
X = rng.normal(size=(64, 4)).astype("float32")
Y = X[:, :1] * 3


@pytest.fixture
def check(capsys):
    """Runs the command; returns the exit code and what it printed."""

    def check(*arguments):
        code = main.main(["check", *map(str, arguments)])
        return code, *capsys.readouterr()

    return check


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("check")
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(8, "tanh"),
            layers.BatchNormalization(name="norm"),
            layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(0.1), "mse")
    model.fit(X, Y, batch_size=64, epochs=40, verbose=0)
    model.save(folder / "model.keras")
    keras.Sequential([keras.Input((4,)), layers.Dense(1)]).save(
        folder / "plain.keras"
    )
    np.savez(folder / "batch.npz", x=X, y=Y)
    return folder


def test_the_first_line_is_the_verdict(check, folder):
    model, batch = folder / "model.keras", folder / "batch.npz"
    before = hashlib.sha256(model.read_bytes()).digest()
    code, out, _ = check(model, batch)
    assert code == 0 and out.startswith("The modes differ: the loss is")
    assert "The moving statistics of `norm`" in " ".join(out.split())
    assert check(model, batch, "--exit-code")[0] == 1
    assert hashlib.sha256(model.read_bytes()).digest() == before


def test_json_has_what_python_has(check, folder):
    model, batch = folder / "model.keras", folder / "batch.npz"
    code, out, _ = check(model, batch, "--json")
    found = gradscope.check(keras.saving.load_model(model), X, Y)
    told = json.loads(out)
    assert code == 0 and told["cause"] == "norm"
    assert told["updates"] == found.updates
    assert set(told) == set(found.to_dict())


def test_a_model_that_was_saved_without_a_loss(check, folder):
    model, batch = folder / "plain.keras", folder / "batch.npz"
    code, out, _ = check(model, batch, "--loss", "mse", "--exit-code")
    assert code == 0 and out.startswith("Both modes agree")
    code, _, err = check(model, batch)
    assert code == 2 and "has no loss to probe" in err


def test_files_that_are_not_there_or_no_batch(check, folder, tmp_path):
    code, _, err = check(tmp_path / "no.keras", folder / "batch.npz")
    assert code == 2 and "there is no model" in err
    assert check(folder / "model.keras", tmp_path / "no.npz")[0] == 2
    np.savez(tmp_path / "other.npz", images=X)
    code, _, err = check(folder / "model.keras", tmp_path / "other.npz")
    assert code == 2 and "has an array 'images'; a batch has x, y" in err
    np.savez(tmp_path / "none.npz", y=Y)
    code, _, err = check(folder / "model.keras", tmp_path / "none.npz")
    assert code == 2 and "has no inputs: it needs an array x" in err


def test_a_class_that_nobody_knows(check, folder, tmp_path):
    class Own(layers.Layer):
        def call(self, inputs):
            return inputs

    model = keras.Sequential(
        [keras.Input((4,)), Own(name="own"), layers.Dense(1)]
    )
    model.save(tmp_path / "own.keras")
    code, _, err = check(tmp_path / "own.keras", folder / "batch.npz")
    assert code == 2 and "cannot be loaded" in err
    assert "load it with custom_objects=" in err


def test_without_tensorflow_it_says_what_to_install(folder):
    code = (
        "import sys; sys.modules['tensorflow'] = None; from gradscope.cli."
        f"main import main; sys.exit(main(['check', r'{folder}/model.keras', "
        f"r'{folder}/batch.npz']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "gradscope.check needs tensorflow, which is not" in done.stderr


def test_several_inputs_go_by_their_names(tmp_path):
    np.savez(tmp_path / "batch.npz", **{"x/left": X, "x/right": Y, "y": Y})
    batch = read_batch(tmp_path / "batch.npz")
    assert set(batch) == {"x", "y"} and set(batch["x"]) == {"left", "right"}


# What is told, by hand.


def made(training, inference, **more):
    row = LayerCheck("norm", more.pop("kind", "batch_norm"), 1.0, 0.9, 1.0)
    options = {
        "statistics_loss": training,
        "layers": (row,),
        "cause": "norm",
        "updates": 5,
        "updates_by_momentum": 459,
        "simulated_loss": math.nan,
        "closed": 0.99,
    }
    return Check(training, inference, **(options | more))


@pytest.mark.parametrize(
    "training, inference, gap",
    [
        (1.0, 1.9, False),
        (1.0, 2.1, True),
        (2.1, 1.0, True),
        (1.0, math.nan, True),
        (0.0, 0.0, False),
        (-1.0, -2.5, True),
    ],
)
def test_a_gap_is_twice_the_loss(training, inference, gap):
    found = made(training, inference)
    assert found.has_gap is gap
    head = "The modes differ:" if gap else "The modes differ slightly"
    assert verdict(found).startswith(head)


def test_what_no_number_of_updates_closes():
    told = verdict(made(1.0, 3.0, updates=None))
    assert "No number of further updates closes the gap" in told
    assert "1e+06" not in told and "simulated one by one" not in told


def test_names_cannot_move_the_cursor():
    row = LayerCheck("\033[2J", "batch_norm", 1.0, math.nan, 1.0)
    told = str(made(1.0, 3.0, layers=(row,), cause="\033[2J"))
    assert "\033" not in told and "\\x1b[2J" in told
