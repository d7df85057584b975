"""Gradients and updates that go wrong.

Sources, one for each case:
StackOverflow 65777704 (deepmufl: five sigmoid layers, 8 to 128 units);
StackOverflow 57407973 (deepmufl: sigmoid layers, kernels "normal");
StackOverflow 37232782 "nan loss when training regression network";
keras #198 "NaN when accuracy reaches 1 with logistic loss", #5733;
theneuralbase.com "NaN loss: learning rate or data" (the data);
stats.stackexchange 413728 "Binarizing data using the sign function";
StackOverflow 36462962 "Loss clipping in tensor flow (on DeepMind's DQN)";
tensorflow #42542 "Gradients do not exist for variables";
tensorflow.org/guide/autodiff, "Did calculations outside of TensorFlow";
tensorflow #31024 and keras #13815 (Adadelta's rate, 1.0 and 0.001);
keras.io, ExponentialDecay (`decay_steps` are steps, not epochs);
tensorflow #1358 "Mean of cross entropy vs sum in summaries tutorial".
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.report import sources


@fault(
    "vanishing-gradient",
    layers=["dense_8", "dense_16", "dense_32"],
    source="StackOverflow 65777704",
)
def growing_sigmoids(training):
    """Five sigmoid layers of growing width under SGD. Accuracy .10 against
    .90."""
    x, y, xt, yt = sources.digits()
    act = "sigmoid" if training.broken else "relu"
    model = keras.Sequential([keras.Input((64,))])
    for units in (8, 16, 32, 64, 128):
        model.add(layers.Dense(units, activation=act, name=f"dense_{units}"))
    model.add(layers.Dense(10, activation="softmax", name="out"))
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.9),
        "categorical_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(model, x, sources.one_hot(y), epochs=25, batch_size=32)
    return sources.accuracy(model, xt, yt)


@fault(
    "vanishing-gradient",
    "init-too-small",
    layers=["fc1", "fc2", "fc3"],
    source="StackOverflow 57407973",
)
def normal_sigmoids(training):
    """Sigmoid layers with kernels "normal" (0.05) and dropout. Accuracy .62
    against .97."""
    x, y, xt, yt = sources.cancer()
    act, start = ("sigmoid", "random_normal")
    if not training.broken:
        act, start = ("relu", "he_normal")
    model = keras.Sequential([keras.Input((30,))])
    for i, units in enumerate((28, 100, 150, 150, 75)):
        model.add(
            layers.Dense(
                units,
                activation=act,
                kernel_initializer=start,
                name=f"fc{i + 1}",
            )
        )
        model.add(layers.Dropout(0.2))
    model.add(layers.Dense(1, activation="sigmoid", name="out"))
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    training.fit(model, x, y, epochs=40, batch_size=16)
    return sources.accuracy(model, xt, yt)


@fault(
    "exploding-gradient",
    "non-finite",
    "loss-diverges",
    layers=["lstm_1", "lstm_2"],
    source="StackOverflow 37232782",
)
def relu_lstm(training):
    """Two LSTM layers with activation="relu" over 100 steps. R2 .04 against
    .87."""
    r = np.random.default_rng(0)
    x = r.uniform(0, 1, (600, 100, 1)).astype("float32")
    y = (x[:, -10:, 0].mean(1, keepdims=True) - 0.5) * 4
    x, y, xt, yt = sources.split(x, y)
    act = "relu" if training.broken else "tanh"
    model = keras.Sequential(
        [
            keras.Input((100, 1)),
            layers.LSTM(
                50, activation=act, return_sequences=True, name="lstm_1"
            ),
            layers.LSTM(50, activation=act, name="lstm_2"),
            layers.Dense(1, name="out"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse")
    training.fit(model, x, y, epochs=6, batch_size=32)
    return sources.r2(model, xt, yt)


@fault("non-finite", layers=["out"], source="keras #198, #5733")
def logistic_loss_by_hand(training):
    """Cross-entropy by hand: 0 * log(1 - p) where p has become exactly 1.
    Accuracy .38 against .99."""
    x, y, xt, yt = sources.cancer()

    def by_hand(truth, p):
        if not training.broken:
            p = tf.clip_by_value(p, 1e-6, 1 - 1e-6)
        gain = truth * tf.math.log(p) + (1 - truth) * tf.math.log(1 - p)
        return -tf.reduce_mean(gain, axis=-1)

    model = keras.Sequential(
        [
            keras.Input((30,)),
            layers.Dense(64, activation="relu", name="fc1"),
            layers.Dense(32, activation="relu", name="fc2"),
            layers.Dense(1, activation="sigmoid", name="out"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.005), by_hand, metrics=["accuracy"])
    training.fit(model, x, y, epochs=20, batch_size=16)
    return sources.accuracy(model, xt, yt)


@fault("non-finite", source="theneuralbase.com, NaN loss")
def pixels_without_spread(training):
    """Pixels that are always 0 are divided by their standard deviation.
    Accuracy .10 against .94."""
    x, y, xt, yt = sources.digits()
    spread = x.std(axis=0)
    if not training.broken:
        spread = spread + 1e-3
    with np.errstate(invalid="ignore", divide="ignore"):
        xt = (xt - x.mean(axis=0)) / spread
        x = (x - x.mean(axis=0)) / spread
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(64, activation="relu", name="hidden"),
            layers.Dense(10, activation="softmax", name="out"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    training.fit(model, x, y, epochs=10, batch_size=32)
    return sources.accuracy(model, xt, yt)


@fault("zero-gradient", layers=["hidden"], source="stats.stackexchange 413728")
def sign_as_activation(training):
    """A step function as activation: nothing flows back. Accuracy .47 against
    .99."""
    x, y = sources.circles()
    x, y, xt, yt = sources.split(x, y)
    act = tf.sign if training.broken else "tanh"
    model = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(6, activation=act, name="hidden"),
            layers.Dense(1, activation="sigmoid", name="out"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.02),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(model, x, y, epochs=40, batch_size=32)
    return sources.accuracy(model, xt, yt)


@fault(
    "zero-gradient",
    "unscaled-target",
    source="StackOverflow 36462962",
)
def clipped_error(training):
    """Errors are clipped to -1 to 1 before they are squared, as a reading of
    the DQN paper has it: an error beyond has no slope. R2 -7.49 against
    1.00."""
    x, y, xt, yt = sources.split(*sources.passengers())
    x, xt, y, yt = x[..., 0] / 100, xt[..., 0] / 100, y / 10, yt / 10

    def squared(truth, value):
        return tf.reduce_mean(tf.clip_by_value(truth - value, -1, 1) ** 2)

    model = keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(64, activation="relu", name="fc1"),
            layers.Dense(64, activation="relu", name="fc2"),
            layers.Dense(1, name="value"),
        ]
    )
    loss = squared if training.broken else keras.losses.Huber()
    model.compile(keras.optimizers.Adam(0.003), loss)
    training.fit(model, x, y, epochs=60, batch_size=16)
    return sources.r2(model, xt, yt)


class Forgetful(keras.Model):
    """Two layers, of which `call` may leave out the first."""

    def __init__(self, forgets):
        super().__init__()
        self.forgets = forgets
        self.hidden = layers.Dense(32, activation="relu", name="hidden")
        self.out = layers.Dense(1, activation="sigmoid", name="out")

    def call(self, x):
        h = self.hidden(x)
        return self.out(x if self.forgets else h)


@fault(
    "disconnected-variable",
    "missing-nonlinearity",
    layers=["hidden"],
    source="tensorflow #42542",
)
def forgotten_layer(training):
    """`call` computes the hidden layer and goes on with its input. Accuracy
    .42 against 1.00."""
    x, y = sources.circles()
    x, y, xt, yt = sources.split(x, y)
    model = Forgetful(training.broken)
    model.compile(
        keras.optimizers.Adam(0.01),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(model, x, y, epochs=30, batch_size=32)
    return sources.accuracy(model, xt, yt)


@fault(
    "disconnected-variable",
    layers=["code", "squeeze"],
    source="tensorflow.org/guide/autodiff: outside of TensorFlow",
)
def code_through_numpy(training):
    """An autoencoder's code is turned into a NumPy array before it is decoded:
    the encoder never learns. R2 .22 against .55."""
    x, y, xt, _ = sources.digits()
    encoder = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(32, activation="relu", name="squeeze"),
            layers.Dense(4, name="code"),
        ]
    )
    decoder = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(32, activation="relu", name="widen"),
            layers.Dense(64, activation="sigmoid", name="pixels"),
        ]
    )
    model = keras.Sequential([encoder, decoder])
    optimizer = training.wrap(keras.optimizers.Adam(0.003), model=model)
    variables = model.trainable_variables
    for batch, _ in sources.batches(x, y, 64, 25):
        with tf.GradientTape() as tape:
            code = encoder(batch, training=True)
            if training.broken:
                code = np.array(code)
            out = decoder(code, training=True)
            loss = tf.reduce_mean((out - batch) ** 2)
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
    error = np.asarray(decoder(encoder(xt))) - xt
    return {"r2": float(1 - np.mean(error**2) / np.mean(xt.var(axis=0)))}


@fault(
    "update-too-small",
    "learning-rate",
    source="tensorflow #31024, keras #13815",
)
def adadelta_of_today(training):
    """Keras' old MNIST example: Adadelta(), whose rate was 1 and is 0.001.
    Accuracy .14 against .94."""
    x, y, xt, yt = sources.digit_images()
    rate = 0.001 if training.broken else 1.0
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, activation="relu", name="conv_1"),
            layers.Conv2D(32, 3, activation="relu", name="conv_2"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(64, activation="relu", name="hidden"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax", name="out"),
        ]
    )
    model.compile(
        keras.optimizers.Adadelta(rate),
        "categorical_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(model, x, sources.one_hot(y), epochs=12, batch_size=64)
    return sources.accuracy(model, xt, yt)


@fault(
    "update-too-small",
    "learning-rate",
    source="keras.io ExponentialDecay",
)
def decay_in_epochs(training):
    """`decay_steps=10` was meant as ten epochs: the rate dies in two. Accuracy
    .23 against .92."""
    x, y, xt, yt = sources.digits()
    per_epoch = len(x) // 32
    steps = 10 if training.broken else 10 * per_epoch
    rate = keras.optimizers.schedules.ExponentialDecay(0.05, steps, 0.5)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(64, activation="relu", name="fc1"),
            layers.Dense(64, activation="relu", name="fc2"),
            layers.Dense(10, activation="softmax", name="out"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(model, x, y, epochs=15, batch_size=32)
    return sources.accuracy(model, xt, yt)


@fault(
    "update-too-large",
    "learning-rate",
    "loss-diverges",
    "exploding-gradient",
    source="tensorflow #1358",
)
def summed_loss(training):
    """The loss of a batch of 128 is summed; the rate was meant for a mean.
    Accuracy .09 against .94."""
    x, y, xt, yt = sources.digits()
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(128, activation="relu", name="fc1"),
            layers.Dense(64, activation="relu", name="fc2"),
            layers.Dense(10, name="logits"),
        ]
    )
    optimizer = training.wrap(keras.optimizers.SGD(0.05), model=model)
    variables = model.trainable_variables
    mean = tf.reduce_sum if training.broken else tf.reduce_mean
    for images, labels in sources.batches(x, y, 128, 40):
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            loss = mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            )
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
    return sources.accuracy(model, xt, yt)
