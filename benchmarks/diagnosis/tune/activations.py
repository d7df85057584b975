"""Functions of a layer that are the wrong ones, or none."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.data import (
    cancer,
    diabetes,
    digit_images,
    digits,
    standardised,
)
from benchmarks.diagnosis.tune.generators import (
    batches,
    reviews,
    rings,
    sine,
    tagged,
    waves,
)

Dense = keras.layers.Dense
CROSSENTROPY = "sparse_categorical_crossentropy"


@fault("dead-relu", layers=["conv_1", "conv_2"])
def prior_bias_everywhere(training):
    """The bias for rare classes, -4.6, is given to hidden layers too. Accuracy
    .10 against .92."""
    prior = keras.initializers.Constant(-np.log((1 - 0.01) / 0.01))
    bias = prior if training.broken else "zeros"
    conv = dict(padding="same", activation="relu", bias_initializer=bias)
    model = keras.Sequential(
        [
            keras.Input([8, 8, 1]),
            keras.layers.Conv2D(16, 3, name="conv_1", **conv),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, name="conv_2", **conv),
            keras.layers.GlobalAveragePooling2D(),
            Dense(10, "sigmoid", bias_initializer=prior, name="output"),
        ]
    )
    x, y = digit_images()
    adam = keras.optimizers.Adam(5e-3)
    model.compile(adam, "binary_crossentropy", metrics=["categorical_accuracy"])
    return training.fit(model, x, np.eye(10)[y], epochs=10, batch_size=32)


@fault("dead-relu", layers=["hidden_1"])
def negative_weights(training):
    """Pixels are never negative, and the weights start between -.1 and 0.
    Accuracy .10 against .98."""
    low, high = (-0.1, 0.0) if training.broken else (-0.1, 0.1)
    start = keras.initializers.RandomUniform(low, high)
    model = keras.Sequential(
        [
            keras.Input([64]),
            Dense(96, "relu", kernel_initializer=start, name="hidden_1"),
            Dense(48, "relu", name="hidden_2"),
            Dense(10, "softmax", name="output"),
        ]
    )
    model.compile("adam", CROSSENTROPY, metrics=["accuracy"])
    return training.fit(model, *digits(), epochs=8, batch_size=32)


@fault("saturated-activation", layers=["code"])
def steep_code(training):
    """A code is to be nearly binary: sigmoids of 100 times the sum.
    Loss .54 against .089."""
    slope = 100.0 if training.broken else 1.0
    model = keras.Sequential(
        [
            keras.Input([64]),
            Dense(64, "relu", name="hidden_1"),
            Dense(8, lambda x: keras.ops.sigmoid(slope * x), name="code"),
            Dense(32, "relu", name="hidden_2"),
            Dense(10, "softmax", name="output"),
        ]
    )
    adam = keras.optimizers.Adam(3e-3)
    model.compile(adam, CROSSENTROPY, metrics=["accuracy"])
    return training.fit(model, *digits(), epochs=10, batch_size=32)


@fault("unscaled-input", "saturated-activation", layers=["state_1", "state_2"])
def wound_up_tanh(training):
    """A running sum of 32 readings, not their mean, into tanh layers.
    Accuracy .32 against .92."""
    x, y = waves()
    x = np.cumsum(20 * (x + 0.5), axis=1)[..., 0]
    x = x if training.broken else standardised(x)
    model = keras.Sequential(
        [
            keras.Input([32]),
            Dense(48, "tanh", name="state_1"),
            Dense(24, "tanh", name="state_2"),
            Dense(3, "softmax", name="output"),
        ]
    )
    sgd = keras.optimizers.SGD(0.05, momentum=0.9)
    model.compile(sgd, CROSSENTROPY, metrics=["accuracy"])
    return training.fit(model, x, y, epochs=20, batch_size=32)


@fault("relu-output", "dead-relu", "output-range", layers=["output"])
def relu_on_regression(training):
    """Standardised targets are negative half of the time. Loss .65 against
    .44."""
    x, y = diabetes()
    last = "relu" if training.broken else None
    model = keras.Sequential(
        [
            keras.Input([10]),
            Dense(32, "relu", name="hidden"),
            Dense(1, last, name="output"),
        ]
    )
    model.compile("adam", "mse")
    y = (y - y.mean()) / y.std()
    return training.fit(model, x, y, epochs=30, batch_size=32)


@fault("relu-output", "dead-relu", "output-range", layers=["output"])
def relu_logits(training):
    """Every layer got a ReLU, the one with the logits as well. Accuracy .59
    against .98."""
    last = "relu" if training.broken else None
    model = keras.Sequential(
        [
            keras.Input([64]),
            Dense(64, "relu", name="hidden_1"),
            Dense(64, "relu", name="hidden_2"),
            Dense(10, last, name="output"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    sgd = keras.optimizers.SGD(0.1)
    model.compile(sgd, loss, metrics=["accuracy"])
    return training.fit(model, *digits(), epochs=10, batch_size=32)


@fault("relu-output", "dead-relu", "output-range", layers=["output"])
def relu_probability(training):
    """A probability from a ReLU, with binary cross-entropy. Accuracy .94
    against .99."""
    x, y = cancer()
    last = "relu" if training.broken else "sigmoid"
    model = keras.Sequential(
        [
            keras.Input([30]),
            Dense(32, "relu", name="hidden"),
            Dense(1, last, name="output"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return training.fit(model, standardised(x), y, epochs=15, batch_size=16)


@fault("single-unit-softmax", layers=["output"])
def one_softmax(training):
    """Two classes, one unit, and softmax as in the tutorial of digits. Accuracy
    .63 against .98."""
    x, y = cancer()
    last = "softmax" if training.broken else "sigmoid"
    model = keras.Sequential(
        [
            keras.Input([30]),
            Dense(16, "relu", name="hidden"),
            Dense(1, last, name="output"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return training.fit(model, standardised(x), y, epochs=20, batch_size=16)


@fault("single-unit-softmax", layers=["output"])
def one_softmax_of_reviews(training):
    """The same behind an LSTM. Accuracy .54 against .99."""
    last = "softmax" if training.broken else "sigmoid"
    model = keras.Sequential(
        [
            keras.Input([30]),
            keras.layers.Embedding(500, 16, mask_zero=True, name="embedding"),
            keras.layers.LSTM(16, name="lstm"),
            Dense(1, last, name="output"),
        ]
    )
    adam = keras.optimizers.Adam(5e-3)
    model.compile(adam, "binary_crossentropy", metrics=["accuracy"])
    return training.fit(model, *reviews(), epochs=8, batch_size=32)


def surprise(y, p):
    """Return the cross-entropy of probabilities, written by hand."""
    one_hot = tf.one_hot(tf.cast(y, "int32"), p.shape[-1])
    return -tf.reduce_sum(one_hot * tf.math.log(p + 1e-7), axis=-1)


@fault("softmax-axis", layers=["output"])
def softmax_over_batch(training):
    """Probabilities sum to one over the batch, not over the classes.
    Loss 1.1 against .24."""
    axis = 0 if training.broken else -1
    model = keras.Sequential(
        [
            keras.Input([64]),
            Dense(64, "relu", name="hidden"),
            Dense(10, name="output"),
            keras.layers.Softmax(axis=axis, name="softmax"),
        ]
    )
    metric = "sparse_categorical_accuracy"
    model.compile("adam", surprise, metrics=[metric])
    x, y = digits()
    return training.fit(model, x, y, epochs=5, batch_size=16)


@fault("softmax-axis", layers=["output"])
def softmax_over_words(training):
    """A tagger whose softmax runs over the words of the sentence.
    Loss 2.0 against .0012."""
    axis = 1 if training.broken else 2
    words = keras.Input([16])
    h = keras.layers.Embedding(30, 16, name="embedding")(words)
    h = keras.layers.GRU(24, return_sequences=True, name="gru")(h)
    h = Dense(3, name="output")(h)
    model = keras.Model(words, keras.ops.softmax(h, axis=axis))
    adam = keras.optimizers.Adam(5e-3)
    metric = "sparse_categorical_accuracy"
    model.compile(adam, surprise, metrics=[metric])
    return training.fit(model, *tagged(), epochs=8, batch_size=32)


@fault("hidden-softmax", layers=["hidden_1", "hidden_2"])
def softmax_in_every_layer(training):
    """All layers were given the function of the last one. Accuracy .62 against
    .99."""
    function = "softmax" if training.broken else "relu"
    model = keras.Sequential(
        [
            keras.Input([64]),
            Dense(128, function, name="hidden_1"),
            Dense(64, function, name="hidden_2"),
            Dense(10, "softmax", name="output"),
        ]
    )
    model.compile("adam", CROSSENTROPY, metrics=["accuracy"])
    return training.fit(model, *digits(), epochs=8, batch_size=32)


@fault("hidden-softmax", layers=["dense"])
def softmax_behind_convolutions(training):
    """Softmax in the layer before the last of a CNN, under SGD. Accuracy .31
    against 1.00."""
    function = "softmax" if training.broken else "relu"
    model = keras.Sequential(
        [
            keras.Input([8, 8, 1]),
            keras.layers.Conv2D(16, 3, activation="relu", name="conv"),
            keras.layers.Flatten(),
            Dense(64, function, name="dense"),
            Dense(10, "softmax", name="output"),
        ]
    )
    sgd = keras.optimizers.SGD(0.05, momentum=0.9)
    model.compile(sgd, CROSSENTROPY, metrics=["accuracy"])
    return training.fit(model, *digit_images(), epochs=8, batch_size=32)


@fault("missing-nonlinearity", layers=["hidden_1", "hidden_2", "hidden_3"])
def linear_layers(training):
    """`activation=` was forgotten: three layers are as good as one. Accuracy
    .64 against 1.00."""
    function = None if training.broken else "relu"
    hidden = [Dense(32, function, name=f"hidden_{i}") for i in (1, 2, 3)]
    output = Dense(1, "sigmoid", name="output")
    model = keras.Sequential([keras.Input([2]), *hidden, output])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return training.fit(model, *rings(), epochs=20, batch_size=32)


@fault("missing-nonlinearity", layers=["hidden_1", "hidden_2"])
def linear_regression_of_sine(training):
    """A curve to be fitted in a loop of its own, by layers without a bend. Loss
    .43 against .063."""
    function = None if training.broken else "tanh"
    x = keras.Input([1])
    h = Dense(64, function, name="hidden_1")(x)
    h = Dense(64, function, name="hidden_2")(h)
    model = keras.Model(x, Dense(1, name="output")(h))
    optimizer = training.wrap(keras.optimizers.Adam(5e-3), model=model)

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x, training=True) - y) ** 2)
        weights = model.trainable_variables
        optimizer.apply(tape.gradient(loss, weights), weights)
        return loss

    return [float(step(*batch)) for batch in batches(*sine(), 32, 25)]
