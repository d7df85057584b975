"""docs/numerics.md: which trainings hide a fault, by mode (on a CPU)."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numerics_modes import MODES, RAISES, in_mode
from training import BATCH, X, Y, loss

import gradscope
from gradscope.format import histogram_buckets
from gradscope.measuring import histogram, stacking

layers = keras.layers
NAN = np.nan

#: Arguments of `compile` for a mode.
COMPILE = {
    "eager": {"run_eagerly": True},
    "graph": {"jit_compile": False},
    "jit": {"jit_compile": True},
}


def dense(activation=None, **options):
    return layers.Dense(3, activation, **options)


def chain(*parts):
    return keras.Sequential(list(parts))


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
def test_an_index_below_zero_counts_from_the_end_of_an_embedding(mode):
    rows = np.arange(8, dtype=np.float32).reshape(4, 2)
    embedding = layers.Embedding(4, 2, weights=[rows])
    embedding.build([None])
    read = in_mode(mode, lambda indices: embedding(indices))
    np.testing.assert_array_equal(read(tf.constant([-1, -3])), rows[[3, 1]])


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
        assert int(model.optimizer.iterations.numpy()) == epoch * trained


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
