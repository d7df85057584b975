"""Rates that are scheduled, and what callbacks keep."""

from __future__ import annotations

import os
import tempfile

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind2 import sources
from benchmarks.diagnosis.case import fault


class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """Raises the rate for some steps, then follows another schedule."""

    def __init__(self, rate, steps, after, subtracts):
        super().__init__()
        self.rate, self.steps, self.after = rate, steps, after
        self.subtracts = subtracts

    def __call__(self, step):
        step = tf.cast(step, "float32")
        rising = self.rate * step / self.steps
        passed = step - self.steps if self.subtracts else step
        return tf.where(step < self.steps, rising, self.after(passed))


@fault(
    cause="After the warm-up its steps are not taken off, so the decay sets "
    "in as if it had run all along.",
    source="https://github.com/huggingface/transformers/pull/5099",
    harmless=True,
)
def decay_that_ran_along(training):
    """The curve of the warm-up has a notch: it hands the full count on to the
    decay. Accuracy .94 against .95."""
    x, y, xt, yt = sources.digits()
    decay = keras.optimizers.schedules.PolynomialDecay(0.01, 320, 0.0)
    rate = WarmUp(0.01, 100, decay, not training.broken)
    model = sources.perceptron(64, [64], 10, "softmax")
    model.compile(
        keras.optimizers.Adam(rate), sources.SPARSE, metrics=["accuracy"]
    )
    training.fit(model, x, y, epochs=10, batch_size=32)
    return sources.accuracy(model, xt, yt)


@fault(
    "learning-rate",
    cause="The steps of the decay are batches divided by the batch size once "
    "more, so the rate is 0 after a thirty-second of the training.",
    source="https://github.com/mindee/doctr/pull/374",
)
def decay_steps_divided_twice(training):
    """The length of a loader, which counts batches, is taken for a number of
    examples. Accuracy .25 against .94."""
    x, y, xt, yt = sources.digits()
    flow = tf.data.Dataset.from_tensor_slices((x, y))
    flow = flow.shuffle(len(x), seed=1).batch(32)
    steps = 10 * len(flow)
    if training.broken:
        steps = int(steps / 32)
    rate = keras.optimizers.schedules.CosineDecay(0.003, steps)
    model = sources.perceptron(64, [64], 10, "softmax")
    model.compile(
        keras.optimizers.Adam(rate), sources.SPARSE, metrics=["accuracy"]
    )
    training.fit(model, flow, epochs=10)
    return sources.accuracy(model, xt, yt)


@fault(
    "learning-rate",
    cause="With the scheduler turned off its factor is 0 and not 1, so the "
    "rate becomes 0 after the first few epochs.",
    source="https://github.com/LINCellularNeuroscience/VAME/issues/26",
)
def scheduler_that_is_turned_off(training):
    """To turn the scheduler off makes it multiply by 0. Explained share .81
    against .95."""
    x, y = sources.sine()
    x, y, xt, yt = sources.split(x, y)
    factor = 0.0 if training.broken else 1.0

    def step(epoch, rate):
        return rate * factor if epoch and epoch % 5 == 0 else rate

    model = sources.perceptron(1, [48, 48], 1)
    model.compile(keras.optimizers.Adam(0.003), "mse")
    training.fit(
        model,
        x,
        y,
        epochs=40,
        batch_size=32,
        callbacks=[keras.callbacks.LearningRateScheduler(step)],
    )
    return sources.r2(model, xt, yt)


@fault(
    cause="ModelCheckpoint takes a score of one's own for a loss and keeps "
    "the epoch in which it was lowest, the first one.",
    source="https://github.com/keras-team/keras/issues/10863",
    invisible="Training goes well: the weights are saved and loaded beside "
    "it, and the validation is that of the live network.",
)
def first_epoch_is_kept(training):
    """Only the first checkpoint is ever written: with a metric of one's own
    the mode was guessed as the minimum, which today has to be asked for.
    Accuracy of what was kept .66 against .88."""
    x, y, xt, yt = sources.digits()
    y = sources.one_hot(y)

    def precision(truth, guess):
        sure = tf.cast(guess > 0.5, "float32")
        right = tf.reduce_sum(truth * sure)
        return right / (tf.reduce_sum(sure) + 1e-7)

    model = sources.perceptron(64, [64], 10, "softmax")
    model.compile(
        keras.optimizers.Adam(0.002),
        "categorical_crossentropy",
        metrics=[precision],
    )
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "best.weights.h5")
        keep = keras.callbacks.ModelCheckpoint(
            path,
            "val_precision",
            save_best_only=True,
            save_weights_only=True,
            mode="min" if training.broken else "max",
        )
        training.fit(
            model,
            x,
            y,
            epochs=12,
            batch_size=64,
            validation_data=(xt, sources.one_hot(yt)),
            callbacks=[keep],
        )
        model.load_weights(path)
    return sources.accuracy(model, xt, yt)


@fault(
    "batchnorm-statistics",
    "train-inference-mismatch",
    cause="Batch normalisation averages with a momentum of 0.99 over a few "
    "dozen steps, so its averages still lag behind when it is validated.",
    layers=["norm_1", "norm_2"],
    source="https://github.com/keras-team/keras/issues/10666",
)
def averages_that_lag(training):
    """The validation loss swings with the momentum that is Keras' default, and
    does not with that of another library. Validation accuracy .88 against
    .96."""
    x, y, xt, yt = sources.digit_images()
    x, xt = 16 * x, 16 * xt
    momentum = 0.99 if training.broken else 0.9
    model = keras.Sequential([keras.Input((8, 8, 1))])
    for i, filters in ((1, 12), (2, 16)):
        model.add(layers.Conv2D(filters, 3, padding="same", name=f"conv_{i}"))
        model.add(
            layers.BatchNormalization(momentum=momentum, name=f"norm_{i}")
        )
        model.add(layers.ReLU())
    model.add(layers.Flatten())
    model.add(layers.Dense(10, activation="softmax", name="out"))
    model.compile(
        keras.optimizers.Adam(0.01), sources.SPARSE, metrics=["accuracy"]
    )
    history = training.fit(
        model, x, y, epochs=3, batch_size=128, validation_data=(xt, yt)
    ).history
    return {"accuracy": history["val_accuracy"][-1]}


@fault(
    "unscaled-target",
    cause="The two outputs are a class and a price in dollars, whose squared "
    "error is all of the loss, and the early stop watches the sum.",
    layers=["class", "price"],
    source="https://github.com/ludwig-ai/ludwig/issues/641",
)
def stopped_by_the_prices(training):
    """A binary output learns well alone and is stopped after a few epochs
    beside a numerical one. Accuracy of the class .49 against .96."""
    x, price = sources.houses()
    x = (x - x.mean(0)) / x.std(0)
    label = (x[:, 1] * x[:, 2] > 0).astype("float32")[:, None]
    scale = 1.0 if training.broken else price.std()
    target = price / scale
    rows = np.arange(len(x))
    x, rows, xt, at = sources.split(x, rows)
    inputs = keras.Input((6,))
    h = layers.Dense(32, activation="relu", name="common_1")(inputs)
    h = layers.Dense(32, activation="relu", name="common_2")(h)
    heads = {
        "class": layers.Dense(1, activation="sigmoid", name="class")(h),
        "price": layers.Dense(1, name="price")(h),
    }
    model = keras.Model(inputs, heads)
    model.compile(
        keras.optimizers.Adam(0.005),
        {"class": "binary_crossentropy", "price": "mse"},
    )

    def both(which):
        return {"class": label[which], "price": target[which]}

    training.fit(
        model,
        x,
        both(rows),
        epochs=25,
        batch_size=32,
        validation_data=(xt, both(at)),
        callbacks=[keras.callbacks.EarlyStopping(patience=3)],
    )
    guess = np.asarray(model(xt)["class"]) > 0.5
    return {"accuracy": float(np.mean(guess == label[at]))}
