"""Two identical trainings write identical records, also where TensorFlow is
told to be deterministic and refuses operations that are not."""

import subprocess
import sys

import numpy as np
import pytest
from thinning import thinned

import gradscope

PROGRAM = """
import sys
import keras, numpy as np, tensorflow as tf
import gradscope
logdir, strict, jit = sys.argv[1], sys.argv[2] == "strict", sys.argv[3] == "jit"
if strict:
    tf.config.experimental.enable_op_determinism()
x = np.random.default_rng(0).normal(size=[320, 8, 8, 1]).astype("float32")
y = np.arange(320) % 3
for run in ("a", "b"):
    keras.utils.set_random_seed(3)
    model = keras.Sequential([
        keras.Input([8, 8, 1]),
        keras.layers.Conv2D(4, 3, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.3),
        keras.layers.Flatten(),
        keras.layers.Dense(16, "tanh"),
        keras.layers.Dense(3, "softmax"),
    ], name="model")
    model.compile("adam", "sparse_categorical_crossentropy", jit_compile=jit)
    callback = gradscope.Callback(f"{logdir}/{run}", every=1, histograms=7)
    model.fit(x, y, batch_size=32, epochs=3, verbose=0, callbacks=[callback])
    keras.backend.clear_session()
"""


@pytest.mark.parametrize(
    ("strict", "jit"),
    thinned(
        [("strict", "graph"), ("strict", "jit"), ("usual", "graph")],
        fast=[],
    ),
)
def test_two_identical_runs_write_identical_records(strict, jit, tmp_path):
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), strict, jit]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "Gradscope" not in done.stderr
    one, other = (gradscope.read(tmp_path / run) for run in "ab")
    assert one.steps.tolist() == other.steps.tolist() == list(range(30))
    assert one.schema == other.schema
    for name in one.statistics:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
