"""docs/numerics.md: where TensorFlow hides a fault, by mode (on a CPU)."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from numerics_modes import MODES, RAISES, in_mode

layers = keras.layers
NAN = np.nan


def dense(activation=None, **options):
    return layers.Dense(3, activation, **options)


def chain(*parts):
    return keras.Sequential(list(parts))


ROWS, PIXELS, SERIES = (2, 4), (1, 6, 6, 2), (1, 10, 2)

#: By name: a layer, the shape of its input, and whether its ReLU makes zero of
#: NaN in a graph.
RELUS = {
    "Dense": (lambda: dense("relu"), ROWS, True),
    "Dense, relu6": (lambda: dense("relu6"), ROWS, True),
    "Dense, then ReLU": (lambda: chain(dense(), layers.ReLU()), ROWS, True),
    "Conv2D": (lambda: layers.Conv2D(2, 3, activation="relu"), PIXELS, True),
    "Conv2D, relu6": (
        lambda: layers.Conv2D(2, 3, activation="relu6"),
        PIXELS,
        True,
    ),
    "DepthwiseConv2D": (
        lambda: layers.DepthwiseConv2D(3, activation="relu"),
        PIXELS,
        True,
    ),
    "Dense without a bias": (
        lambda: dense("relu", use_bias=False),
        ROWS,
        False,
    ),
    "Dense of a series": (lambda: dense("relu"), SERIES, False),
    "Conv1D": (lambda: layers.Conv1D(2, 3, activation="relu"), SERIES, False),
    "BatchNormalization between": (
        lambda: chain(dense(), layers.BatchNormalization(), layers.ReLU()),
        ROWS,
        False,
    ),
    **{
        f"Dense, {name}": (lambda name=name: dense(name), ROWS, False)
        for name in (
            *("elu", "leaky_relu", "gelu", "tanh", "sigmoid"),
            *("selu", "silu", "softplus"),
        )
    },
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", RELUS)
def test_which_layers_make_zero_of_nan(name, mode):
    make, shape, hides = RELUS[name]
    layer = make()
    layer.build(shape)
    x = np.ones(shape, np.float32)
    x.flat[0] = NAN
    output = in_mode(mode, layer)(tf.constant(x)).numpy().flat[0]
    np.testing.assert_equal(output, 0 if hides and mode == "graph" else NAN)


@pytest.mark.slow
def test_without_onednn_no_relu_makes_zero_of_nan():
    script = """
        import keras, numpy as np, tensorflow as tf
        for layer, shape in (
            (keras.layers.Dense(3, "relu"), (2, 4)),
            (keras.layers.Conv2D(2, 3, activation="relu"), (1, 6, 6, 2)),
        ):
            layer.build(shape)
            x = np.ones(shape, "float32")
            x.flat[0] = np.nan
            function = tf.function(lambda x: layer(x), autograph=False)
            print(function(tf.constant(x)).numpy().flat[0])
    """
    done = subprocess.run(
        [sys.executable, "-c", script.replace("\n        ", "\n")],
        env=os.environ | {"TF_ENABLE_ONEDNN_OPTS": "0"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["nan", "nan"], done.stderr


def gradient_of_rows(table, indices):
    """Returns which rows of a table learn, when these rows are read."""
    with tf.GradientTape() as tape:
        tape.watch(table)
        total = tf.reduce_sum(tf.gather(table, indices))
    return tf.convert_to_tensor(tape.gradient(total, table))


def pool(x):
    return tf.nn.max_pool2d(x, 2, 2, "VALID")


#: Of a 2 by 2 window one value is missing, of the other all are.
WINDOWS = np.float32([1, 2, NAN, 3, *[NAN] * 4]).reshape(1, 4, 2, 1)
TABLE = np.float32([[1, 2], [3, 4], [5, 6]])
TINY = np.float32(1e-40)
TWOS = np.full([100_000], 2, np.float16)
LOWEST = np.finfo(np.float32).min
SOME = np.float32([NAN, 1, 0])


def label_loss(labels):
    return tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels, tf.zeros([2, 10])
    )


#: By name: a function, its arguments, and the results in each mode.
RESULTS = {
    "max_pool": (
        pool,
        [WINDOWS],
        *([[3, LOWEST]] * 2),
        [3, -np.inf],
    ),
    "avg_pool": (
        lambda x: tf.nn.avg_pool2d(x, 2, 2, "VALID"),
        [WINDOWS],
        *([[NAN, NAN]] * 3),
    ),
    "reduce_max": (tf.reduce_max, [SOME], NAN, NAN, 1),
    "reduce_min": (tf.reduce_min, [SOME], NAN, NAN, 0),
    "global max pooling": (
        lambda x: layers.GlobalMaxPooling2D()(x),
        [WINDOWS[:, :2]],
        *(NAN, NAN, 3),
    ),
    "argmax": (tf.argmax, [SOME], 1, 1, 1),
    "sort": (tf.sort, [SOME], *([[NAN, 0, 1]] * 2), [0, 1, NAN]),
    "maximum": (lambda x: tf.maximum(x, 0.0), [SOME], *([[NAN, 1, 0]] * 3)),
    "minimum": (lambda x: tf.minimum(x, 0.0), [SOME], *([[NAN, 0, 0]] * 3)),
    "relu": (tf.nn.relu, [SOME], *([[NAN, 1, 0]] * 3)),
    "clip": (
        lambda x: tf.clip_by_value(x, 0.0, 1.0),
        [SOME],
        *([[NAN, 1, 0]] * 3),
    ),
    "NaN to an integer": (
        lambda x: tf.cast(x, tf.int32),
        [SOME],
        *([[-(2**31), 1, 0]] * 2),
        [0, 1, 0],
    ),
    "integer divided by zero": (
        lambda x: 1 // x,
        [np.int32([0])],
        *(RAISES, RAISES, [-1]),
    ),
    "label": (
        label_loss,
        [np.int32([0, 10])],
        *(RAISES, RAISES, [np.log(np.float32(10)), NAN]),
    ),
    "label below zero": (
        label_loss,
        [np.int32([0, -1])],
        *(RAISES, RAISES, [np.log(np.float32(10)), NAN]),
    ),
    "index": (
        tf.gather,
        [TABLE, np.int32([0, 3])],
        *(RAISES, RAISES, [1, 2, 5, 6]),
    ),
    "gradient of an index": (
        gradient_of_rows,
        [TABLE, np.int32([0, 3])],
        *(RAISES, RAISES, [1, 1, 0, 0, 0, 0]),
    ),
    "one_hot": (
        lambda x: tf.one_hot(x, 3),
        [np.int32([0, 3])],
        *([[1, 0, 0, 0, 0, 0]] * 3),
    ),
    "mean of float16": (tf.reduce_mean, [TWOS], NAN, NAN, 2),
    "keras mean of float16": (keras.ops.mean, [TWOS], 2, 2, 2),
    "sum of float16": (tf.reduce_sum, [TWOS], *([np.inf] * 3)),
    "1e-40 times 1.0": (lambda x: x * 1.0, [TINY], 0, TINY, TINY),
    "1e-40 times a tensor": (
        lambda x, y: x * y,
        [TINY, np.float32(1)],
        *(0, 0, 0),
    ),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", RESULTS)
def test_what_an_operation_makes_of_it(name, mode):
    function, arguments, *results = RESULTS[name]
    expected = results[MODES.index(mode)]
    tensors = [tf.constant(argument) for argument in arguments]
    if expected is RAISES:
        with pytest.raises(RAISES):
            in_mode(mode, function)(*tensors)
        return
    actual = in_mode(mode, function)(*tensors).numpy().ravel()
    np.testing.assert_allclose(actual, np.ravel(expected), rtol=1e-6)
