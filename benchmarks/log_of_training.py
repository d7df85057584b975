"""How many bytes the log of a whole training has.

    python benchmarks/log_of_training.py [VARIABLES ...]

Prints a line for each number of variables, of the gradscope that is imported:
`python -m benchmarks.sizes --beside COMMIT` runs it with an older one, so it
uses nothing but what both have. Sizes are counted, and the same everywhere.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile

import numpy as np

#: Steps, of which the first 50 and then every 10th are recorded.
STEPS = 300

#: Variables of the networks: as a residual network of 73 blocks has them, and
#: as a multilayer perceptron.
NETWORKS = (294, 6)

#: What is asked of `Callback`, by a name for it.
OPTIONS = {"default": {}, "histograms=None": {"histograms": None}}


def network(variables: int):
    """Build a network of dense layers; a large one has norms behind them."""
    import keras

    keras.utils.set_random_seed(0)
    layers = [keras.Input([16])]
    has_norms = variables > 6
    for _ in range((variables - 2) // (4 if has_norms else 2)):
        layers.append(keras.layers.Dense(16, "relu"))
        if has_norms:
            layers.append(keras.layers.LayerNormalization())
    model = keras.Sequential([*layers, keras.layers.Dense(1)])
    model.compile("adam", "mse")
    return model


def size(variables: int, steps: int = STEPS, **options) -> int:
    """Train a network; return the bytes of its log."""
    import gradscope

    directory = tempfile.mkdtemp()
    model = network(variables)
    x = np.random.default_rng(0).normal(size=(16, 16)).astype("float32")
    callback = gradscope.Callback(
        directory, probe=False, findings=False, **options
    )
    model.fit(
        *(np.tile(x, (steps, 1)), np.tile(x[:, :1], (steps, 1)), 16),
        verbose=0,
        shuffle=False,
        callbacks=[callback],
    )
    gradscope.flush()
    paths = [
        os.path.join(parent, name)
        for parent, _, names in os.walk(directory)
        for name in names
    ]
    return sum(map(os.path.getsize, paths))


def main(arguments: list[str]) -> None:
    for variables in map(int, arguments or NETWORKS):
        sizes = {
            name: size(variables, **options)
            for name, options in OPTIONS.items()
        }
        print(json.dumps({"variables": variables, **sizes}), flush=True)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main(sys.argv[1:])
