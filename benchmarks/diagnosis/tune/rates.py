"""Steps that are too large or too small."""

from __future__ import annotations

import keras
import tensorflow as tf

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.data import (
    cancer,
    diabetes,
    digit_images,
    digits,
    standardised,
)
from benchmarks.diagnosis.tune.generators import batches, reviews, waves

Dense = keras.layers.Dense
SGD, Adam = keras.optimizers.SGD, keras.optimizers.Adam
CROSSENTROPY = "sparse_categorical_crossentropy"


def mlp(width=64):
    """Return a classifier of digits."""
    return keras.Sequential(
        [
            keras.Input([64]),
            Dense(width, "relu", name="hidden_1"),
            Dense(width, "relu", name="hidden_2"),
            Dense(10, "softmax", name="output"),
        ]
    )


@fault("learning-rate", "dead-relu", "update-too-large")
def adam_of_sgd(training):
    """Adam with the rate that was good for SGD. Accuracy .10 against .98."""
    model = mlp()
    adam = Adam(0.3 if training.broken else 1e-3)
    model.compile(adam, CROSSENTROPY, metrics=["accuracy"])
    return training.fit(model, *digits(), epochs=8, batch_size=32)


@fault("learning-rate", "update-too-small")
def sgd_of_adam(training):
    """SGD without momentum and with the rate of somebody's fine-tuning.
    Accuracy .10 against .98."""
    model = mlp()
    model.compile(
        SGD(2e-5 if training.broken else 0.1),
        CROSSENTROPY,
        metrics=["accuracy"],
    )
    return training.fit(model, *digits(), epochs=8, batch_size=32)


@fault("learning-rate", "update-too-small")
def lstm_at_a_crawl(training):
    """Adam at 1e-6, taken over from a large language model. Accuracy .54
    against .99."""
    model = keras.Sequential(
        [
            keras.Input([30]),
            keras.layers.Embedding(500, 16, name="embedding"),
            keras.layers.LSTM(16, name="lstm"),
            Dense(1, "sigmoid", name="output"),
        ]
    )
    adam = Adam(1e-6 if training.broken else 5e-3)
    model.compile(adam, "binary_crossentropy", metrics=["accuracy"])
    return training.fit(model, *reviews(), epochs=8, batch_size=32)


@fault("learning-rate", "update-too-small")
def decays_each_step(training):
    """`decay_steps` counts steps, and one epoch was meant. Accuracy .21 against
    .95."""
    every = 1 if training.broken else 57
    decay = keras.optimizers.schedules.ExponentialDecay(0.05, every, 0.9)
    model = keras.Sequential(
        [
            keras.Input([8, 8, 1]),
            keras.layers.Conv2D(16, 3, activation="relu", name="conv"),
            keras.layers.Flatten(),
            Dense(10, "softmax", name="output"),
        ]
    )
    model.compile(SGD(decay), CROSSENTROPY, metrics=["accuracy"])
    return training.fit(model, *digit_images(), epochs=8, batch_size=32)


@fault("learning-rate", "update-too-large", "loss-diverges")
def gru_too_fast(training):
    """RMSprop at .3 on a GRU: the loss jumps about. Accuracy .49 against
    1.00."""
    model = keras.Sequential(
        [
            keras.Input([32, 1]),
            keras.layers.GRU(24, name="gru"),
            Dense(3, "softmax", name="output"),
        ]
    )
    rms = keras.optimizers.RMSprop(0.3 if training.broken else 5e-3)
    model.compile(rms, CROSSENTROPY, metrics=["accuracy"])
    return training.fit(model, *waves(), epochs=8, batch_size=32)


@fault("update-too-small", "learning-rate")
def clipped_to_nothing(training):
    """Clipping at 1e-4, and SGD: what is left is no step. Accuracy .37 against
    .98."""
    clip = 1e-4 if training.broken else 5.0
    x, y = cancer()
    model = keras.Sequential(
        [
            keras.Input([30]),
            Dense(32, "relu", name="hidden"),
            Dense(1, "sigmoid", name="output"),
        ]
    )
    sgd = SGD(0.05, clipnorm=clip)
    model.compile(sgd, "binary_crossentropy", metrics=["accuracy"])
    return training.fit(model, standardised(x), y, epochs=12, batch_size=16)


@fault("update-too-small", "learning-rate")
def divided_twice(training):
    """The loss is a mean already, and is divided by all examples again. Loss
    2.3 against .17."""
    model = mlp()
    optimizer = training.wrap(SGD(0.1), model=model)
    crossentropy = keras.losses.SparseCategoricalCrossentropy()
    x, y = digits()

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = crossentropy(y, model(x, training=True))
            if training.broken:
                loss = loss / 1797
        weights = model.trainable_variables
        optimizer.apply(tape.gradient(loss, weights), weights)
        return loss

    losses = [float(step(*batch)) for batch in batches(x, y, 32, 8)]
    return {"loss": losses[-1] * (1797 if training.broken else 1)}


@fault("update-too-large", "learning-rate", "loss-diverges", "dead-relu")
def summed_loss(training):
    """The loss is summed over a batch of 128, and the rate is the old one.
    Accuracy .10 against .96."""

    def crossentropy(y, p):
        loss = keras.losses.sparse_categorical_crossentropy(y, p)
        reduce = tf.reduce_sum if training.broken else tf.reduce_mean
        return reduce(loss)

    model = mlp(128)
    model.compile(SGD(0.1), crossentropy, metrics=["accuracy"])
    return training.fit(model, *digits(), epochs=15, batch_size=128)


@fault("update-too-large", "learning-rate", "loss-diverges")
def never_reset(training):
    """Gradients of four batches are added up, and never set to zero again. Loss
    2.6 against .14."""
    model = mlp()
    optimizer = training.wrap(SGD(0.05), model=model)
    crossentropy = keras.losses.SparseCategoricalCrossentropy()
    weights = model.trainable_variables
    sums = [tf.Variable(tf.zeros(w.shape)) for w in weights]

    @tf.function
    def add(x, y):
        with tf.GradientTape() as tape:
            loss = crossentropy(y, model(x, training=True))
        for total, gradient in zip(
            sums, tape.gradient(loss, weights), strict=True
        ):
            total.assign_add(gradient)
        return loss

    @tf.function
    def step():
        optimizer.apply([tf.convert_to_tensor(s) for s in sums], weights)

    losses = []
    for i, batch in enumerate(batches(*digits(), 16, 10), 1):
        losses.append(float(add(*batch)))
        if i % 4 == 0:
            step()
            if not training.broken:
                for total in sums:
                    total.assign(tf.zeros_like(total))
    return losses


@fault("learning-rate", "loss-diverges", "update-too-large")
def momentum_and_a_large_rate(training):
    """Momentum .99 was added, and the rate of plain SGD was kept. Loss NaN
    against .45."""
    x, y = diabetes()
    y = (y - y.mean()) / y.std()
    momentum = 0.99 if training.broken else 0.0
    model = keras.Sequential(
        [
            keras.Input([10]),
            Dense(32, "relu", name="hidden"),
            Dense(1, name="output"),
        ]
    )
    model.compile(SGD(0.05, momentum=momentum), "mse")
    return training.fit(model, x, y, epochs=15, batch_size=16)
