"""docs/numerics.md: where TensorFlow hides a fault, by mode (on a CPU)."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from training import BATCH, X, Y, loss

import gradscope
from gradscope.format import histogram_buckets
from gradscope.measuring import histogram, stacking

layers = keras.layers
NAN, MODES = np.nan, ("eager", "graph", "jit")
RAISES = tf.errors.InvalidArgumentError

#: Arguments of `compile` for a mode.
COMPILE = {
    "eager": {"run_eagerly": True},
    "graph": {"jit_compile": False},
    "jit": {"jit_compile": True},
}


def in_mode(mode, function):
    """Returns a function of tensors as it runs in a mode."""
    if mode == "eager":
        return function
    return tf.function(function, jit_compile=mode == "jit", autograph=False)


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


BROKEN = 2  # the step whose batch has the fault


def train(model, mode, logdir, x=X, y=Y):
    """Trains for one epoch, each step recorded."""
    model.compile(keras.optimizers.SGD(0.1), loss(), **COMPILE[mode])
    callback = gradscope.Callback(
        logdir, every=1, histograms=None, findings=False
    )
    model.fit(
        x,
        y,
        batch_size=BATCH,
        shuffle=False,
        verbose=0,
        callbacks=[callback],
    )
    return gradscope.read(logdir)


@pytest.mark.parametrize(
    "activation, mode",
    [("relu", mode) for mode in MODES] + [("elu", "graph")],
)
def test_a_training_with_a_missing_value(activation, mode, tmp_path):
    x = X.copy()
    x[BROKEN * BATCH + 3, 2] = NAN
    model = chain(
        keras.Input([12]), layers.Dense(8, activation, name="one"), dense()
    )
    record = train(model, mode, tmp_path, x)
    kernel = record.variables.index("one/kernel")
    assert np.isnan(record["weight_norm"][BROKEN + 1 :, kernel]).all()
    (finding,) = gradscope.diagnose(record)
    assert (finding.kind, finding.layer) == ("non-finite", "one")
    assert (finding.evidence["first"], finding.steps[0]) == ("input", BROKEN)
    outputs = in_mode(mode, model)(tf.constant(X[:2])).numpy()
    if (activation, mode) != ("relu", "graph"):
        assert np.isnan(record["loss"][BROKEN:]).all()
        assert np.isnan(outputs).all()
        assert "the network learns nothing from then on" in finding.what
        return
    assert np.isfinite(record["loss"]).all()
    assert np.isfinite(outputs).all() and np.ptp(outputs, axis=0).max() == 0
    zeros = record["zero_fraction"][BROKEN + 1 :]
    np.testing.assert_array_equal(zeros, 1)
    assert "the loss hides it" in finding.what
    assert "units of `one` that read NaN are silent" in finding.cause
    # All that still learns is the bias of the last layer.
    learns = np.flatnonzero(record["gradient_norm"][-1] > 0)
    assert learns.tolist() == [len(record.variables) - 1]


@pytest.mark.parametrize("mode", MODES)
def test_max_pooling_hides_a_missing_pixel_for_one_step(mode, tmp_path):
    x = np.repeat(X[:, :, None, None], 4, axis=2)
    x[BROKEN * BATCH, 0, 0] = NAN
    model = chain(
        keras.Input([12, 4, 1]),
        layers.Conv2D(4, 3, name="one"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        dense(),
    )
    record = train(model, mode, tmp_path, x)
    assert np.isfinite(record["loss"][: BROKEN + 1]).all()
    assert not np.isfinite(record["loss"][BROKEN + 1 :]).any()
    finding = gradscope.diagnose(record)[0]
    assert (finding.kind, finding.evidence["first"]) == ("non-finite", "input")
    assert finding.evidence["step"] == BROKEN


@pytest.mark.parametrize("mode", MODES)
def test_a_label_out_of_range(mode, tmp_path):
    y = Y.copy()
    y[BROKEN * BATCH] = 3
    model = chain(keras.Input([12]), layers.Dense(8, "tanh"), dense())
    if mode != "jit":
        with pytest.raises(RAISES, match="label value of 3 which is outside"):
            train(model, mode, tmp_path, y=y)
        return
    record = train(model, mode, tmp_path, y=y)
    target = record.schema.rows("data").index("target")
    assert record["data_max"][BROKEN, target] == 3
    assert np.isfinite(record["loss"][:BROKEN]).all()
    assert np.isnan(record["loss"][BROKEN:]).all()
    finding = gradscope.diagnose(record)[0]
    assert (finding.kind, finding.evidence["step"]) == ("non-finite", BROKEN)


@pytest.mark.parametrize("mode", MODES)
def test_an_index_beyond_an_embedding(mode, tmp_path):
    x = np.zeros([len(X), 5], np.int32)
    x[BROKEN * BATCH] = 4
    model = chain(
        keras.Input([5], dtype="int32"),
        layers.Embedding(4, 8),
        layers.Flatten(),
        dense(),
    )
    if mode != "jit":
        with pytest.raises(RAISES, match="= 4 is not in"):
            train(model, mode, tmp_path, x)
        return
    record = train(model, mode, tmp_path, x)
    assert np.isfinite(record["loss"]).all()
    source = record.schema.rows("data").index("input")
    assert record["data_max"][BROKEN, source] == 4


@pytest.mark.parametrize("mode", MODES)
def test_a_step_that_a_loss_scale_skips_counts_nowhere(mode):
    inner = keras.optimizers.SGD(0.1)
    outer = keras.optimizers.LossScaleOptimizer(inner)
    variable = keras.Variable([1.0])
    outer.build([variable])

    def step(gradient):
        outer.apply([gradient], [variable])
        return tf.identity(variable.value)

    step = in_mode(mode, step)
    for gradient, count in ((NAN, 0), (1.0, 1), (np.inf, 1)):
        step(tf.constant([gradient]))
        assert (int(inner.iterations), int(outer.iterations)) == (count, count)


def test_a_histogram_of_tensorflow_is_empty_for_one_nan(tmp_path):
    values = tf.constant([NAN, 1.0, 2.0, 3.0])
    writer = tf.summary.create_file_writer(str(tmp_path))
    with writer.as_default():
        tf.summary.histogram("values", values, step=0)
    writer.close()
    (file,) = tmp_path.iterdir()
    *_, event = tf.compat.v1.train.summary_iterator(str(file))
    buckets = tf.make_ndarray(event.summary.value[0].tensor)
    assert np.isnan(buckets[:, :2]).all() and buckets[:, 2].sum() == 0
    rows = stacking.pad_together(stacking.stack_by_shape([values]))
    counts = histogram.counts([rows], [0]).numpy()[0]
    assert counts[: histogram_buckets.COUNT].sum() == 3 + 1
    assert counts[histogram_buckets.ZERO + 1 : -1].sum() == 3


@pytest.mark.parametrize(
    "package, trained",
    [("keras", 12), pytest.param("tf_keras", 10, marks=pytest.mark.slow)],
)
def test_steps_of_an_epoch_with_several_steps_a_call(package, trained):
    module = pytest.importorskip(package)
    model = module.Sequential([module.layers.Dense(3)])
    model.compile("sgd", "mse", steps_per_execution=4)
    data = tf.data.Dataset.from_tensors((X[:BATCH], X[:BATCH, :3])).repeat()
    for epoch in (1, 2):
        model.fit(data, steps_per_epoch=10, verbose=0)
        assert int(model.optimizer.iterations) == epoch * trained


@pytest.mark.parametrize("size, is_trained", [(BATCH, True), (8, False)])
def test_a_layer_that_is_frozen_without_compile(size, is_trained):
    model = chain(keras.Input([12]), dense(name="frozen"), dense())
    model.compile("sgd", loss(), jit_compile=False)
    x, y = X[: 2 * BATCH], Y[: 2 * BATCH]
    model.fit(x, y, batch_size=BATCH, verbose=0)
    frozen = model.get_layer("frozen")
    frozen.trainable = False
    before = frozen.get_weights()[0]
    model.fit(x, y, batch_size=size, verbose=0)
    assert (before != frozen.get_weights()[0]).any() == is_trained
