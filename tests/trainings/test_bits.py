"""Training is the same, bit for bit, with gradscope and without.

In every way of training: see test_modes. Of every optimizer: test_combinations.
"""

import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from thinning import thinned
from training import BATCH, OPTIMIZERS, STEPS, X, state, train

import gradscope
from gradscope.schedule import Every
from gradscope.wrapping.fit import step_trial


def convolutional():
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Conv2D(8, 3, activation="relu", kernel_regularizer="l2"),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(10),
        ]
    )


def transformer():
    layers = keras.layers
    tokens = keras.Input((14, 14, 1))
    hidden = layers.Reshape((14, 14))(tokens)
    hidden = layers.Dense(16)(hidden)
    normed = layers.LayerNormalization()(hidden)
    attended = layers.MultiHeadAttention(2, 8, dropout=0.1)(normed, normed)
    hidden = layers.Add()([hidden, attended])
    normed = layers.LayerNormalization()(hidden)
    hidden = layers.Add()([hidden, layers.Dense(16, "gelu")(normed)])
    pooled = layers.GlobalAveragePooling1D()(hidden)
    return keras.Model(tokens, layers.Dense(10)(pooled))


def recurrent():
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Reshape((14, 14)),
            layers.LSTM(12),
            layers.Dense(10),
        ]
    )


@functools.cache
def train_on_images(make, optimizer, jit, logdir):
    keras.utils.set_random_seed(3)
    model, optimizer = make(), OPTIMIZERS[optimizer]()
    if logdir is not None:
        import gradscope

        gradscope.wrap(optimizer, logdir, every=Every(2, dense=0), histograms=4)
    rng = np.random.default_rng(1)
    images = rng.normal(size=(64, 14, 14, 1)).astype("float32")
    labels = rng.integers(0, 10, 64)
    model.compile(
        optimizer,
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit,
    )
    # 40 steps: a product that XLA rounds once instead of twice shows after 16.
    model.fit(images, labels, batch_size=32, epochs=20, verbose=0)
    return state(model, optimizer)


@pytest.mark.parametrize(
    "make, optimizer, jit",
    thinned(
        [
            (make, *case)
            for make in (convolutional, transformer, recurrent)
            for case in (("sgd", False), ("adam", False), ("adam", True))
        ],
        fast=[
            (convolutional, "sgd", False),
            (transformer, "adam", False),
            (recurrent, "sgd", False),
            (convolutional, "adam", True),
        ],
    ),
)
def test_observing_changes_no_bit_of_deeper_networks(
    make, optimizer, jit, tmp_path
):
    plain = train_on_images(make, optimizer, jit, None)
    observed = train_on_images(make, optimizer, jit, tmp_path)
    for expected, actual in zip(plain, observed, strict=True):
        np.testing.assert_array_equal(actual, expected)


def train_table(optimizer, how=None, logdir=None):
    """Trains one large table, of which a batch reads few rows, under XLA.

    `python -m benchmarks.bits embedding --jit` does it with a million rows.
    """
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((20,), dtype="int32"),
            layers.Embedding(20_000, 64),
            layers.GlobalAveragePooling1D(),
            layers.Dense(1, "sigmoid"),
        ]
    )
    optimizer, callbacks = OPTIMIZERS[optimizer](), []
    if how == "wrap":
        gradscope.wrap(optimizer, logdir)
    elif how == "callback":
        callbacks = [gradscope.Callback(logdir)]
    model.compile(optimizer, "binary_crossentropy", jit_compile=True)
    rng = np.random.default_rng(0)
    x, y = rng.integers(20_000, size=(192, 20)), rng.integers(2, size=192)
    model.fit(
        x, y, batch_size=64, shuffle=False, verbose=0, callbacks=callbacks
    )
    return state(model, optimizer)


@pytest.mark.parametrize(
    "optimizer, how",
    thinned(
        list(itertools.product(["sgd", "adam"], ["callback", "wrap"])),
        fast=[("adam", "wrap")],
    ),
)
def test_observing_changes_no_bit_of_a_large_table_under_xla(
    optimizer, how, tmp_path
):
    plain = train_table(optimizer)
    observed = train_table(optimizer, how, tmp_path)
    for expected, actual in zip(plain, observed, strict=True):
        np.testing.assert_array_equal(actual, expected)
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == [0, 1, 2]
    assert (record["gradient_norm"] > 0).all()


class Noise(keras.layers.Layer):
    """Draws from a stateful op, whose counter lives in the program."""

    def call(self, inputs):
        return inputs + tf.random.normal(tf.shape(inputs), stddev=0.1)


def noisy():
    return keras.Sequential(
        [keras.Input((12,)), Noise(), keras.layers.Dense(3)]
    )


@pytest.mark.parametrize("how", ["wrap", "callback"])
def test_stateful_random_ops_draw_the_same_stream(how, tmp_path):
    plain = train("fit_graph", "sgd", make=noisy)
    observed = train(
        "fit_graph",
        "sgd",
        make=noisy,
        how=how,
        logdir=tmp_path,
        every=Every(3, dense=0),
    )
    for expected, actual in zip(state(*plain), state(*observed), strict=True):
        np.testing.assert_array_equal(actual, expected)


class TakesBatch(keras.Sequential):
    """Traces batches of each size, as all models do in Keras 3.16."""

    def make_train_function(self, force=False):
        if self.train_function is not None and not force:
            return

        step = tf.function(
            self.train_step, autograph=False, reduce_retracing=True
        )

        @functools.wraps(step)
        def one_step_on_data(data):
            return step(data)

        @tf.function(autograph=False, reduce_retracing=True)
        def multi_step_on_iterator(iterator):
            return one_step_on_data(iterator.get_next())

        def function(iterator):
            if isinstance(iterator, tf.data.Iterator):
                if self.steps_per_execution > 1:
                    return multi_step_on_iterator(iterator)
                batch = iterator.get_next_as_optional()
                if not batch.has_value():
                    raise StopIteration
                return one_step_on_data(batch.get_value())
            (batch,) = iterator
            return one_step_on_data(batch)

        self.train_function = function


@pytest.mark.parametrize(
    "how, has_room", [("wrap", True), ("callback", True), ("callback", False)]
)
def test_each_size_of_a_batch_has_the_stream_of_its_trace(
    how, has_room, tmp_path, monkeypatch
):
    """Also where the weights are too large to be copied for a trial."""
    if not has_room:
        monkeypatch.setattr(
            step_trial.VariableBackup,
            "has_room_for",
            staticmethod(lambda graph: False),
        )

    def make():
        parts = [keras.Input((12,)), Noise(), keras.layers.Dense(3)]
        return TakesBatch(parts)

    plain = train("fit_graph", "sgd", make=make)
    assert len(X) % BATCH, "all batches have one size"
    observed = train(
        "fit_graph", "sgd", make=make, how=how, logdir=tmp_path, every=1
    )
    for expected, actual in zip(state(*plain), state(*observed), strict=True):
        np.testing.assert_array_equal(actual, expected)
    assert len(gradscope.read(tmp_path).steps) == STEPS


def test_random_ops_after_the_step_draw_the_same_stream(tmp_path):
    def noise_after_two_steps(observed):
        import gradscope

        keras.utils.set_random_seed(5)
        variable = tf.Variable([1.0, 2.0])
        optimizer = keras.optimizers.SGD(0.1)
        optimizer.build([variable])
        if observed:
            gradscope.wrap(optimizer, tmp_path)

        @tf.function
        def step():
            optimizer.apply([2 * variable], [variable])
            first = tf.random.normal([3])
            optimizer.apply([3 * variable], [variable])
            return first, tf.random.normal([3])

        return np.array([step(), step()])

    np.testing.assert_array_equal(
        noise_after_two_steps(True), noise_after_two_steps(False)
    )
