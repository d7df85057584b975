"""The examples show what they promise: each variant's findings, three seeds."""

import functools
import importlib
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from gradscope_examples import NAMES, data, running
from thinning import thinned

import gradscope

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
SEEDS = (0, 1, 2)

#: What must be said of a variant, with the layers where it may be said; of all
#: others nothing is said, not even a note.
FOUND = {
    ("zero_initialisation", "broken"): {"zero-init": "first"},
    ("zero_initialisation", "broken_tf1"): {"zero-init": "first"},
    ("dropout_rate", "broken"): {"dropout-keep-prob": "dropout_visible"},
    ("dropout_rate", "broken_tf1"): {"dropout-keep-prob": "dropout_visible"},
    ("vanishing_middle_layer", "broken"): {"vanishing-gradient": "first"},
    ("vanishing_middle_layer", "broken_tf1"): {"vanishing-gradient": "first"},
    ("restored_batch_norm", "broken"): {
        "batchnorm-statistics": ("norm_1", "norm_2", "norm_3")
    },
    ("restored_batch_norm", "broken_tf1"): {
        "batchnorm-statistics": ("norm_1", "norm_2", "norm_3")
    },
    ("restored_batch_norm", "forgotten_tf1"): {
        "batchnorm-statistics": "norm_1"
    },
    ("missing_value", "broken"): {"non-finite": "first"},
    ("missing_value", "broken_elu"): {"non-finite": "first"},
}

#: What the examples print, and between which numbers it is.
NUMBERS = {
    ("zero_initialisation", "broken"): ("accuracy", 0.05, 0.15),
    ("zero_initialisation", "repaired"): ("accuracy", 0.95, 1),
    ("zero_initialisation", "repaired_tf1"): ("accuracy", 0.95, 1),
    ("dropout_rate", "repaired"): ("accuracy", 0.95, 1),
    ("dropout_rate", "repaired_tf1"): ("accuracy", 0.95, 1),
    ("vanishing_middle_layer", "broken"): (
        "loss of the last 1000 steps",
        0.3,
        0.37,
    ),
    ("vanishing_middle_layer", "repaired"): (
        "loss of the last 1000 steps",
        0,
        0.003,
    ),
    ("restored_batch_norm", "forgotten_tf1"): ("error when restored", 0.1, 9),
    ("missing_value", "broken"): ("loss", 0.6, 0.75),
    ("missing_value", "repaired"): ("accuracy", 0.93, 1),
    ("healthy_digits", "healthy"): ("accuracy", 0.95, 1),
}


def example(name):
    return importlib.import_module(f"gradscope_examples.{name}")


VARIANTS = [
    (name, variant) for name in NAMES for variant in example(name).VARIANTS
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Trains a variant once, and returns its numbers and log directory."""
    logdir = tmp_path_factory.mktemp("examples")

    @functools.cache
    def train(name, variant, seed):
        path = logdir / str(seed) / name / variant
        options = running.Options(str(path), seed=seed)
        numbers, _ = running.train(example(name).VARIANTS[variant], options)
        return numbers, path

    # A default of `train` would be a second key for the same training.
    return lambda name, variant, seed=0: train(name, variant, seed)


CASES = [(*variant, seed) for variant in VARIANTS for seed in SEEDS]


def is_fast(name, variant, seed):
    """Says whether `make test` has the case: of one seed, and of sessions what
    Keras does not have."""
    return seed == 0 and (
        not variant.endswith("_tf1") or variant == "forgotten_tf1"
    )


@pytest.mark.parametrize(
    ("name", "variant", "seed"),
    thinned(CASES, fast=[case for case in CASES if is_fast(*case)]),
)
def test_what_is_said_of_an_example(name, variant, seed, trained):
    numbers, logdir = trained(name, variant, seed)
    column, low, high = NUMBERS.get((name, variant), (None, 0, 0))
    assert column is None or low <= numbers[column] <= high
    found = {f.kind: f.layer for f in gradscope.diagnose(logdir)}
    wanted = FOUND.get((name, variant))
    if wanted is None:
        assert found == {}
        return
    for kind, layers in wanted.items():
        assert found[kind] in ([layers] if isinstance(layers, str) else layers)


@pytest.mark.slow
def test_a_restored_batch_norm_is_worse_and_the_repaired_is_not(trained):
    worse = {}
    for variant in ("broken_tf1", "repaired_tf1"):
        numbers, _ = trained("restored_batch_norm", variant)
        training, restored = numbers.values()
        worse[variant] = restored / training
    assert worse["broken_tf1"] > 100 and worse["repaired_tf1"] < 2


def test_a_missing_value_is_hidden_by_a_relu_and_not_by_an_elu(trained):
    numbers, logdir = trained("missing_value", "broken")
    assert numbers["spread of predictions"] == 0
    (finding,) = gradscope.diagnose(logdir)
    assert finding.evidence["first"] == "input"
    assert "NaN in step 4, and the loss hides it" in finding.what
    assert "the units of `first` that read NaN are silent" in finding.cause
    numbers, logdir = trained("missing_value", "broken_elu")
    assert np.isnan([numbers["loss"], numbers["spread of predictions"]]).all()
    (finding,) = gradscope.diagnose(logdir)
    assert "the network learns nothing from then on" in finding.what


def test_one_pass_or_two_is_the_same_function(trained, capsys):
    for variant in ("one_pass", "wrong_half"):
        _, logdir = trained("virtual_batch_norm", variant)
    module = example("virtual_batch_norm")
    module.compared(running.Options(str(logdir.parent)))
    same, other, run = capsys.readouterr().out.split("\none_pass and ")[1:]
    assert "The two are the same function: in float64" in same
    assert "they part in the forward pass, in `norm_0`;" in other
    assert "The two runs part at step 0, first in layer `layer_0`" in run


def test_every_example_is_in_the_index_and_in_the_demo():
    index = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    files = {path.stem for path in EXAMPLES.glob("*.py")}
    assert files == {*NAMES, "__init__", "data", "running"}
    assert all(f"({name}.py)" in index for name in NAMES)


def run(*command):
    """Runs a command as a reader would; returns its code and output."""
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_a_file_runs_by_itself(tmp_path):
    file = EXAMPLES / "zero_initialisation.py"
    command = [file, "--logdir", tmp_path, "--variant", "broken_tf1"]
    code, output = run(*command)
    assert code == 0
    assert output.startswith('Two "equal" networks')
    assert "error: All weights of `first`, `second` and `last`" in output
    assert (tmp_path / "zero_initialisation" / "broken_tf1").is_dir()


@pytest.mark.slow
def test_the_demo_trains_what_was_chosen(tmp_path):
    demo = ["-m", "gradscope", "demo", "--no-serve", "--logdir", tmp_path]
    code, output = run(*demo, "--only", "healthy_digits")
    assert code == 0
    assert "[1/1] healthy_digits" in output
    assert "nothing is wrong" in output


def test_the_demo_of_an_unknown_example(capsys):
    from gradscope.cli import main

    assert main.main(["demo", "--only", "digits"]) == 2
    told = capsys.readouterr().err
    assert "there is no example 'digits'; there are zero_initialisation" in told


def test_the_demo_needs_tensorflow(capsys, monkeypatch):
    from gradscope.cli import demo, main

    monkeypatch.setattr(demo.importlib.util, "find_spec", lambda name: None)
    assert main.main(["demo"]) == 2
    assert (
        "trains networks, and gradscope_examples is" in capsys.readouterr().err
    )


def test_mnist_that_cannot_be_fetched(monkeypatch):
    import keras

    def fails():
        raise OSError("no route to host")

    monkeypatch.setattr(keras.datasets.mnist, "load_data", fails)
    with pytest.raises(ConnectionError, match="MNIST could not be fetched: it"):
        data.images("mnist")


def test_mnist_has_the_shape_of_the_digits(monkeypatch):
    import keras

    pixels = np.full([70, 28, 28], 255, np.uint8), np.arange(70, dtype=np.uint8)
    monkeypatch.setattr(
        keras.datasets.mnist, "load_data", lambda: (pixels, pixels)
    )
    for size in (8, 28):
        x, y, *_ = data.images("mnist", size)
        assert x.shape == (70, size, size) and x.dtype == "float32"
        assert x.max() == 1 and y.dtype == "int64"
        digits = data.images("digits", size)
        assert [len(part) for part in digits] == [1437, 1437, 360, 360]
        assert digits[0].max() == 1


def test_an_example_without_a_network_connection_says_so(monkeypatch, capsys):
    def variant(options):
        raise ConnectionError("MNIST could not be fetched")

    monkeypatch.setattr(sys, "argv", ["example", "--data", "mnist"])
    with pytest.raises(SystemExit, match="example: MNIST could not be fetched"):
        running.main("example.py", "A story.", {"broken": variant})
