"""One call of an optimizer, from `wrap` to the event file, as CONTRIBUTING.md
tells it: which functions there are, and in which order they are entered."""

import functools
import importlib
import itertools
import os
import pathlib
import re
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import gradscope
from gradscope.recording import drain
from gradscope.runtime import tf_variables
from gradscope.runtime.described_variables import DescribedVariables

ROOT = pathlib.Path(gradscope.__file__).parent
GUIDE = pathlib.Path(__file__).parents[2] / "CONTRIBUTING.md"
SEAM = "wrapping/optimizers/seam.py"
MOST_RETURNS = 6


def documented_walk():
    """Returns pairs of file and function, from CONTRIBUTING.md."""
    text = GUIDE.read_text().split("## One call, from")[1].split("\n## ")[0]
    return re.findall(r"^\d+\. `([\w/]+\.py)`: `([\w.]+)`", text, re.MULTILINE)


def code_of(file, name):
    """Returns the code object of a function."""
    module = file.removesuffix(".py").removesuffix("/__init__")
    value = importlib.import_module(f"gradscope.{module.replace('/', '.')}")
    return functools.reduce(getattr, name.split("."), value).__code__


@functools.cache
def file_of(code):
    """Returns the file of gradscope that a code object is of, or None."""
    inside = code.co_filename.startswith(f"{ROOT}{os.sep}")
    return os.path.relpath(code.co_filename, ROOT) if inside else None


def caller(frame):
    """Returns the file of gradscope that called a frame, through others."""
    while frame.f_back is not None:
        frame = frame.f_back
        if file_of(frame.f_code):
            return file_of(frame.f_code)
    return None


def trace(action):
    """Returns each entered function of gradscope: code, file and caller's."""
    entered = []

    def profile(frame, event, _):
        if event == "call" and file_of(frame.f_code):
            code = frame.f_code
            entered.append((code, file_of(code), caller(frame)))

    sys.setprofile(profile)
    try:
        action()
    finally:
        sys.setprofile(None)
    return entered


def returns(files):
    """Counts how often a walk comes back to a file that it had left."""
    stays = [file for file, _ in itertools.groupby(files)]
    return len(stays) - len(set(stays))


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    """What `wrap`, one call, and a flush enter, one after another."""
    logdir = tmp_path_factory.mktemp("walk")
    optimizer = keras.optimizers.SGD(0.5)
    weight = keras.Variable([3.0, 4.0])
    gradient = tf.constant([3.0, 4.0])
    actions = (
        lambda: gradscope.wrap(optimizer, logdir, every=1, histograms=None),
        lambda: optimizer.apply([gradient], [weight]),
        lambda: gradscope.flush(optimizer),
    )
    with pytest.MonkeyPatch.context() as patch:
        # A slow call would leave nothing for the flush to write.
        patch.setattr(drain, "PERIOD", 1e9)
        parts = [trace(action) for action in actions]
    assert gradscope.read(logdir)["gradient_norm"].tolist() == [[5.0]]
    return parts


def test_one_call_takes_the_documented_walk(traced):
    walk = documented_walk()
    assert len(walk) > 15
    places = {code_of(*place): place for place in walk}
    codes = [code for part in traced for code, *_ in part if code in places]
    assert [places[code] for code in dict.fromkeys(codes)] == walk


def test_the_walk_comes_to_the_seam_once_and_returns_at_most_six_times():
    files = [file for file, _ in documented_walk()]
    assert files.count(SEAM) == 1
    assert returns(files) == 4 <= MOST_RETURNS
    assert returns(["a", "b", "a", "a", "b"]) == 2


def test_nothing_calls_back_into_the_seam(traced):
    _, call, _ = traced
    visits = [by for _, file, by in call if file == SEAM and by != SEAM]
    assert visits == ["wrapping/optimizers/keras.py"]


# Variables are described once.


@pytest.mark.parametrize("mode", ["eager", "function"])
def test_a_call_describes_its_variables_once(mode, tmp_path, monkeypatch):
    described = []

    def describe(variables):
        described.append([v.path for v in variables])
        return original(variables)

    original = tf_variables.describe
    monkeypatch.setattr(tf_variables, "describe", describe)
    x = np.ones([4, 3], np.float32)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input([3]),
            layers.Dense(2, "relu"),
            layers.BatchNormalization(),
            layers.Dense(1),
        ]
    )
    optimizer = keras.optimizers.SGD(0.1)
    gradscope.wrap(optimizer, tmp_path, model=model, every=1, histograms=None)

    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(x, training=True) ** 2)
        weights = model.trainable_variables
        optimizer.apply(tape.gradient(loss, weights), weights)

    step = tf.function(step, autograph=False) if mode == "function" else step
    paths = [v.path for v in model.trainable_variables]
    step()
    assert described.count(paths) == 1
    described.clear()
    step()
    assert paths not in described  # only what else there is, beside them


def test_further_variables_are_described_as_in_one_list():
    variables = [tf.Variable(0.0, name=f"net/{n}/w") for n in "abc"]
    first = DescribedVariables.of(variables[:2])
    assert [row.name for row in first.rows] == ["a/w", "b/w"]
    (beside,) = first.describe_beside(variables[2:])
    assert beside == tf_variables.describe(variables)[2]


def test_rows_and_activations_of_a_partial_call_have_the_same_names(tmp_path):
    """The second call has variables of `m/b` alone, whose names would begin
    with what is left of it if they were described by themselves."""
    import tf_keras

    shapes = {"m/a/w": [3, 3], "m/b/x/w": [3, 4], "m/b/y/w": [4, 2]}
    weights = [tf.Variable(tf.ones(s), name=n) for n, s in shapes.items()]
    optimizer = tf_keras.optimizers.legacy.SGD(0.1)
    gradscope.wrap(optimizer, tmp_path, every=1, histograms=None)

    @tf.function
    def step(values):
        with tf.GradientTape() as tape:
            for weight in weights:
                values = tf.nn.relu(values @ weight)
        grads = tape.gradient(values, weights)
        pairs = list(zip(grads, weights, strict=True))
        optimizer.apply_gradients(pairs[:1])
        optimizer.apply_gradients(pairs[1:])

    step(tf.ones([2, 3]))
    schema = gradscope.read(tmp_path).schema
    assert list(schema.layers) == ["a", "b/x", "b/y"]
    names = [row.name for row in schema.activations]
    assert {"a/relu", "b/x/relu", "b/y/relu"} <= set(names)
    assert "x/relu" not in names and "y/relu" not in names
