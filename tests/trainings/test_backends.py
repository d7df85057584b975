"""Keras on other backends is refused with a reason and a remedy."""

import os
import pathlib
import subprocess
import sys
import textwrap

import pytest
from thinning import thinned

#: Where jax is, and nowhere else.
FOLDER = pathlib.Path(__file__).parents[2] / ".venv-jax"
JAX = f"import sys; sys.path.append({str(FOLDER)!r})"
OPTIMIZER = "import keras; optimizer = keras.optimizers.SGD(0.1)"
WRAP = "import gradscope; gradscope.wrap(optimizer, '{logdir}')"
FIT = """
import numpy
import gradscope
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
model.compile(optimizer, "mse")
callback = gradscope.Callback('{logdir}')
x = numpy.ones([4, 2])
model.fit(x, x[:, :1], verbose=0, callbacks=[callback])
"""


@pytest.mark.parametrize(
    "backend, observe",
    # Keras on numpy cannot `fit`.
    thinned(
        [("jax", WRAP), ("jax", FIT), ("numpy", WRAP)],
        fast=[("jax", FIT)],
    ),
    ids=["jax-wrap", "jax-callback", "numpy-wrap"],
)
def test_other_backends_are_refused_with_a_remedy(backend, observe, tmp_path):
    assert FOLDER.exists(), "jax is missing: run `make test-setup`"
    script = "\n".join([JAX, OPTIMIZER, observe.format(logdir=tmp_path)])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env=os.environ | {"KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert (
        "NotImplementedError: gradscope cannot observe this optimizer: Keras "
        f"runs on its '{backend}' backend, but gradscope observes only Keras "
        "on TensorFlow. Set KERAS_BACKEND=tensorflow before Keras is imported, "
        "or do not wrap the optimizer."
    ) in done.stderr
