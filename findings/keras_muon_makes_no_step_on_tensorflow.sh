#!/usr/bin/env bash
# Keras 3.12.0 with TensorFlow 2.20.0 (CPU)
#
# The optimizer Muon of Keras makes no step on the TensorFlow backend: it asks the
# variable that it updates for its `path`, and what this backend hands to an
# optimizer's update is not Keras's variable but TensorFlow's, which has none.
# `compile`, `build` and loading work, so it shows in the first batch of `fit`.
#
# Seen: a vector: AttributeError, 'ResourceVariable' object has no attribute
# 'path'; a matrix: the same
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorflow==2.20.0 keras==3.12.0
CUDA_VISIBLE_DEVICES="" TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PY'
import keras
import numpy as np


def step(shape):
    """Make one step of Muon on a variable of ones."""
    variable = keras.Variable(np.ones(shape, "float32"))
    optimizer = keras.optimizers.Muon(0.01)
    optimizer.build([variable])
    optimizer.apply([keras.ops.ones(shape)], [variable])


for name, shape in {"a vector": [3], "a matrix": [3, 3]}.items():
    try:
        step(shape)
    except AttributeError as error:
        print(f"{name}: AttributeError, {error}")
        assert "'path'" in str(error), error
    else:
        raise AssertionError("Keras's Muon makes a step here now")
PY
