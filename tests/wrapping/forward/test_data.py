"""Inputs, outputs, targets and loss of a training."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from observed import FITS, LOOPS, train
from thinning import thinned
from training import STEPS, batches, loss

import gradscope
from gradscope.format.schema import DATA_COLUMNS, Data
from gradscope.measuring import data

layers = keras.layers
NONFINITE = "data_nonfinite"


def network():
    return keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(9, "relu"),
            layers.Dense(3, kernel_regularizer="l2"),
        ]
    )


def numbers(values):
    values = np.asarray(values, np.float64)
    return {
        "data_mean": values.mean(),
        "data_rms": np.sqrt(np.mean(values**2)),
        "data_variation": np.sqrt(np.mean((values - values.mean(axis=0)) ** 2)),
        "data_min": values.min(),
        "data_max": values.max(),
        "data_nonfinite": 0,
        "data_zero_fraction": np.mean(values == 0),
        "data_examples": len(values),
    }


def reference():
    """Returns inputs, targets, outputs and loss of each step."""
    keras.utils.set_random_seed(3)
    model = network()
    steps = []

    def note(x, y):
        logits = model(x)
        value = float(loss()(y, logits)) + float(sum(model.losses))
        steps.append((x, y, logits.numpy(), value))

    def step(x, y):
        note(x, y)
        with tf.GradientTape() as tape:
            value = loss()(y, model(x, training=True)) + sum(model.losses)
        optimizer.apply(tape.gradient(value, model.trainable_variables))

    optimizer = keras.optimizers.SGD(0.05)
    optimizer.build(model.trainable_variables)
    for x, y in batches():
        step(x, y)
    return steps


@pytest.mark.parametrize(
    "mode, how",
    thinned(
        [(mode, how) for mode in FITS for how in ("wrap", "callback")],
        fast=[
            ("fit_graph", "wrap"),
            ("fit_graph", "callback"),
            ("fit_jit", "wrap"),
            ("fit_3_steps", "callback"),
            ("fit_eager", "wrap"),
            ("fit_eager", "callback"),
        ],
    ),
)
def test_numbers_are_those_of_the_batch(mode, how, tmp_path):
    keras.utils.set_random_seed(3)
    record = train(mode, network(), tmp_path, how=how)
    assert record.schema.rows("data") == ("input", "target", "output")
    assert record.schema.data == (
        Data("input", "float32", (12,)),
        Data("target", record.schema.data[1].dtype, ()),
        Data("output", "float32", (3,)),
    )
    expected = reference()
    assert len(record.steps) == STEPS == len(expected)
    for row, (*tensors, value) in enumerate(expected):
        assert record["loss"][row] == pytest.approx(value, rel=1e-5)
        for column, tensor in enumerate(tensors):
            for name, number in numbers(tensor).items():
                np.testing.assert_allclose(
                    record[name][row, column],
                    number,
                    rtol=1e-5,
                    atol=1e-6,
                    err_msg=name,
                )


@pytest.mark.parametrize("mode", list(LOOPS))
def test_a_loop_tells_of_inputs_and_outputs_through_its_model(mode, tmp_path):
    record = train(mode, network(), tmp_path)
    assert record.schema.rows("data") == ("input", "output")
    assert (record["data_rms"] > 0).all()
    # The tape's graph tells its loss; an eager step has none.
    is_eager = record.schema.loss_is_known is False
    assert np.isnan(record["loss"]).all() == is_eager


def test_several_inputs_and_outputs_have_their_names(tmp_path):
    words = keras.Input((4,), dtype="int32", name="words")
    numbers_ = keras.Input((3,), name="numbers")
    hidden = layers.Flatten()(layers.Embedding(7, 2)(words))
    hidden = layers.Concatenate()([hidden, numbers_])
    outputs = {"a": layers.Dense(1)(hidden), "b": layers.Dense(2)(hidden)}
    model = keras.Model({"words": words, "numbers": numbers_}, outputs)
    model.compile("sgd", {"a": "mse", "b": "mse"}, jit_compile=False)
    random = np.random.default_rng(0)
    model.fit(
        {
            "words": random.integers(0, 7, [32, 4]),
            "numbers": random.normal(size=[32, 3]).astype("float32"),
        },
        {"a": np.full([32, 1], 5.0), "b": np.zeros([32, 2])},
        verbose=0,
        callbacks=[gradscope.Callback(tmp_path, every=1)],
    )
    record = gradscope.read(tmp_path)
    assert set(record.schema.rows("data")) == {
        "input/words",
        "input/numbers",
        "target/a",
        "target/b",
        "output/a",
        "output/b",
    }
    words = record.schema.rows("data").index("input/words")
    target = record.schema.rows("data").index("target/a")
    np.testing.assert_allclose(record["data_mean"][:, target], 5)
    assert record["data_max"][0, words] == 6


def test_validation_is_no_step(tmp_path):
    model = network()
    model.compile("sgd", loss(), run_eagerly=True)
    x, y = next(iter(batches()))
    model.fit(
        x,
        y,
        validation_data=(x + 100, y),
        epochs=3,
        verbose=0,
        callbacks=[gradscope.Callback(tmp_path, every=1)],
    )
    record = gradscope.read(tmp_path)
    assert len(record.steps) == 3
    assert (record["data_max"][:, 0] < 50).all()


def alone(values):
    """Returns the numbers of one tensor."""
    return data.measure([values])[0]


def measured(values):
    found = alone(tf.constant(values)).numpy().tolist()
    return dict(zip(DATA_COLUMNS, found, strict=True))


@pytest.mark.parametrize("compiled", [False, True])
def test_what_is_not_finite_is_told_as_it_is(compiled):
    run = tf.function(alone, jit_compile=compiled)

    def of(values):
        found = run(tf.constant(values, tf.float32)).numpy().tolist()
        return dict(zip(DATA_COLUMNS, found, strict=True))

    found = of([[1.0, np.nan], [3.0, 4.0]])
    assert found.pop("data_nonfinite") == 0.25
    assert found.pop("data_zero_fraction") == 0
    assert found.pop("data_examples") == 2
    assert np.isnan(list(found.values())).all()
    found = of([[1.0, np.inf], [3.0, 4.0]])
    assert found["data_nonfinite"] == 0.25
    assert found["data_max"] == np.inf and found["data_min"] == 1


@pytest.mark.parametrize("dtype", ["float16", "int32", "uint8", "float64"])
def test_numbers_of_any_dtype(dtype):
    values = np.array([[1, 2], [3, 4]], dtype)
    assert measured(values) == pytest.approx(numbers(values))


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    "values, variation",
    [
        # 1 from the means 2 and 3, and 2 from the means 7 and 5.
        ([[1, 5], [3, 9], [1, 9], [3, 5]], np.sqrt(5 / 2)),
        ([4, 8], 2),
        ([[[1], [2]], [[1], [4]]], np.sqrt(1 / 2)),
        # Alike, but for the mean of 7 float32 numbers of this size.
        ([[16777213.0, 0.1]] * 7, 0),
        ([[1, 2, 3]], np.nan),
        ([5], np.nan),
        (5, np.nan),
        ([[1, np.nan], [2, 3]], np.nan),
    ],
)
def test_a_variation_by_hand(values, variation, compiled):
    run = tf.function(alone, jit_compile=compiled)
    found = run(tf.constant(values, tf.float32)).numpy()
    found = found[DATA_COLUMNS.index("data_variation")]
    assert found == pytest.approx(variation, rel=1e-6, abs=0, nan_ok=True)


def test_examples_may_vary_little_around_a_large_number():
    """A difference of squares would have none of it left."""
    values = np.float32([[10_000], [10_002]])
    assert measured(values)["data_variation"] == 1


def test_of_large_examples_two_are_looked_at():
    values = np.zeros([3, 2**18 + 1], np.float32)
    values[1:] = [[2], [3]]
    assert measured(values)["data_variation"] == 1
    assert measured(values)["data_max"] == 2


@pytest.mark.parametrize("mode", ["fit_graph", "fit_jit", "fit_eager"])
def test_data_have_a_dtype_and_a_shape(mode, tmp_path):
    words = keras.Input((None,), dtype="int32", name="words")
    image = keras.Input((4, 4, 2), dtype="float16", name="image")
    hidden = layers.Embedding(7, 3, dtype="float32")(words)
    hidden = layers.GlobalAveragePooling1D()(hidden)
    hidden = layers.Concatenate()([hidden, layers.Flatten()(image)])
    model = keras.Model([words, image], layers.Dense(3)(hidden))
    arguments = {
        "fit_graph": {"jit_compile": False},
        "fit_jit": {"jit_compile": True},
        "fit_eager": {"run_eagerly": True},
    }
    model.compile("sgd", loss(), **arguments[mode])

    def batches_of_all_lengths():
        for length in (5, 3, 8):
            x = np.zeros([6, length], "int32"), np.zeros([6, 4, 4, 2], "f2")
            yield x, np.arange(6, dtype="int64") % 3

    signature = (
        (
            tf.TensorSpec([None, None], tf.int32),
            tf.TensorSpec([None, 4, 4, 2], tf.float16),
        ),
        tf.TensorSpec([None], tf.int64),
    )
    batches = tf.data.Dataset.from_generator(
        batches_of_all_lengths, output_signature=signature
    )
    callback = gradscope.Callback(tmp_path, every=1)
    model.fit(batches, epochs=1, verbose=0, callbacks=[callback])
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == [0, 1, 2]
    # An eager step has no other lengths than its own.
    length = 5 if mode == "fit_eager" else -1
    described = {d.name: (d.dtype, d.shape) for d in record.schema.data}
    assert described == {
        "input/0": ("int32", (length,)),
        "input/1": ("float16", (4, 4, 2)),
        "target": ("int64", ()),
        "output": ("float32", (3,)),
    }


def test_of_large_batches_the_first_examples_are_looked_at():
    values = np.zeros([600, 1000], np.float32)
    values[262:] = 1
    assert measured(values)["data_max"] == 0
    assert measured(np.ones([2, 10**6], np.float32))["data_mean"] == 1


def test_the_callback_probes_between_epochs(tmp_path):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((12,)), layers.Dropout(0.5), layers.Dense(3)]
    )
    model.compile("sgd", loss(), jit_compile=False)
    x, y = next(iter(batches()))
    evaluated = []
    note = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: evaluated.append(
            model.evaluate(x, y, verbose=0)
        )
    )
    callback = gradscope.Callback(tmp_path, every=1, probe=(x, y))
    model.fit(
        x, y, batch_size=4, epochs=3, verbose=0, callbacks=[note, callback]
    )
    record = gradscope.read(tmp_path)
    steps, values = record.occasional("probe")
    assert steps.tolist() == [4, 8, 12]
    np.testing.assert_allclose(values[:, 0, 1], evaluated, rtol=1e-5)
    assert (values[:, 0, 0] != values[:, 0, 1]).all()
    assert record.steps.tolist() == list(range(12))


@pytest.mark.parametrize("batch", [5, (1,), (1, 2, 3, 4), "xy"])
def test_a_probe_is_of_a_batch(batch, tmp_path):
    with pytest.raises(
        ValueError, match=r"`probe` must be a batch \(x, y\) or \(x, y, sample"
    ):
        gradscope.Callback(tmp_path, probe=batch)


def test_no_batch_of_finite_numbers_has_a_share_of_others():
    # XLA: 1 - n * (1 / n) is not 0 for all n.
    for count in (3, 49, 1440, 2110):
        measured = tf.function(alone, jit_compile=True)
        share = measured(tf.ones([count, 10]))[DATA_COLUMNS.index(NONFINITE)]
        assert share == 0
