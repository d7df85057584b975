#!/usr/bin/env bash
# TensorFlow 2.21.0 (CPU), Keras 3.15.1
#
# The names of layers decide the last bits of a training. A network that adds
# the outputs of three Dense layers is trained from the same seed, on the same
# data and under tf.config.experimental.enable_op_determinism(). With layers named
# part_1, part_2, part_3 (or 4 to 6, or 21 to 23) the weights have the same bits;
# with part_8, part_9, part_10 they have others: as text, part_10 comes before
# part_8, and the graph adds the three outputs in another order. Keras counts
# default names (dense, dense_1, ...) for as long as a process lives, so the
# third or fourth training of one program in one process differs from the first
# two for no reason that anybody looks for. clear_session() between them helps.
#
# Seen: one hash for 1 2 3, for 4 5 6 and for 21 22 23, another for 8 9 10
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorflow==2.21.0 keras==3.15.1
CUDA_VISIBLE_DEVICES="" TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PY' | tee "$folder/seen"
import hashlib

import keras
import numpy as np
import tensorflow as tf

tf.config.experimental.enable_op_determinism()
layers = keras.layers


def train(numbers):
    """Train one small network with layers of these names; hash its weights."""
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(64, 16)).astype("float32")
    inputs = keras.Input((16,))
    kinds = ("gelu", "gelu", None)
    parts = [
        layers.Dense(8, kind, name=f"part_{number}")(inputs)
        for kind, number in zip(kinds, numbers)
    ]
    outputs = layers.Dense(1, name="out")(layers.Add(name="sum")(parts))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=False)
    model.fit(x, x[:, :1], batch_size=16, epochs=2, shuffle=False, verbose=0)
    weights = b"".join(weight.tobytes() for weight in model.get_weights())
    return hashlib.sha256(weights).hexdigest()[:8]


for numbers in ((1, 2, 3), (4, 5, 6), (21, 22, 23), (8, 9, 10)):
    print(*numbers, train(numbers))
PY
test "$(head -3 "$folder/seen" | cut -d' ' -f4 | sort -u | wc -l)" = 1
test "$(cut -d' ' -f4 "$folder/seen" | sort -u | wc -l)" = 2
