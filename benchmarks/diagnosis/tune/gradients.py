"""Gradients that fade, explode, are zero, or do not arrive."""

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
from benchmarks.diagnosis.tune.generators import batches, reviews, waves

Dense = keras.layers.Dense
CROSSENTROPY = "sparse_categorical_crossentropy"


@fault("vanishing-gradient", layers=[f"hidden_{i}" for i in range(1, 7)])
def deep_sigmoids(training):
    """Six layers of sigmoids under plain SGD, as in old textbooks. Accuracy .10
    against .97."""
    function = "sigmoid" if training.broken else "relu"
    hidden = [Dense(64, function, name=f"hidden_{i}") for i in range(1, 7)]
    output = Dense(10, "softmax", name="output")
    model = keras.Sequential([keras.Input([64]), *hidden, output])
    sgd = keras.optimizers.SGD(0.1)
    model.compile(sgd, CROSSENTROPY, metrics=["accuracy"])
    return training.fit(model, *digits(), epochs=12, batch_size=32)


@fault(
    "vanishing-gradient",
    layers=[f"encoder_{i}" for i in (1, 2, 3)] + ["code"],
)
def sigmoid_autoencoder(training):
    """A deep autoencoder with a sigmoid in each layer learns the mean image.
    Loss .074 against .015."""
    function = "sigmoid" if training.broken else "elu"
    sizes = [64, 48, 32]
    encoder = [
        Dense(n, function, name=f"encoder_{i}") for i, n in enumerate(sizes, 1)
    ]
    decoder = [
        Dense(n, function, name=f"decoder_{i}")
        for i, n in enumerate(sizes[::-1], 1)
    ]
    code = Dense(16, function, name="code")
    output = Dense(64, "sigmoid", name="output")
    model = keras.Sequential(
        [keras.Input([64]), *encoder, code, *decoder, output]
    )
    model.compile(keras.optimizers.SGD(0.5, momentum=0.9), "mse")
    x, _ = digits()
    return training.fit(model, x, x, epochs=15, batch_size=32)


@fault(
    "exploding-gradient",
    "init-too-large",
    "loss-diverges",
    "non-finite",
    "learning-rate",
    layers=["rnn/simple_rnn_cell"],
)
def recurrent_relu(training):
    """A simple RNN with ReLU and normal recurrent weights, not clipped.
    Accuracy .32 against .98."""
    normal = keras.initializers.RandomNormal(stddev=0.5)
    start = normal if training.broken else "orthogonal"
    model = keras.Sequential(
        [
            keras.Input([32, 1]),
            keras.layers.SimpleRNN(
                32, "relu", recurrent_initializer=start, name="rnn"
            ),
            Dense(3, "softmax", name="output"),
        ]
    )
    clip = None if training.broken else 1.0
    sgd = keras.optimizers.SGD(0.03, clipnorm=clip)
    model.compile(sgd, CROSSENTROPY, metrics=["accuracy"])
    return training.fit(model, *waves(), epochs=15, batch_size=32)


@fault(
    "exploding-gradient",
    "init-too-large",
    "non-finite",
    "loss-diverges",
    layers=["project", *[f"block_{i}" for i in range(12)], "output"],
)
def residual_without_norm(training):
    """12 residual blocks, each of which doubles the values. Loss NaN against
    .36."""
    x = keras.Input([64])
    h = Dense(48, name="project")(x)
    for i in range(12):
        inner = h
        if not training.broken:
            inner = keras.layers.LayerNormalization(name=f"norm_{i}")(h)
        inner = Dense(
            48, "relu", name=f"block_{i}", kernel_initializer="he_normal"
        )(inner)
        h = h + inner
    if not training.broken:
        h = keras.layers.LayerNormalization(name="norm")(h)
    model = keras.Model(x, Dense(10, "softmax", name="output")(h))
    sgd = keras.optimizers.SGD(0.01)
    model.compile(sgd, CROSSENTROPY, metrics=["accuracy"])
    return training.fit(model, *digits(), epochs=4, batch_size=32)


@fault("zero-gradient", layers=["features", "encoder"])
def sign_of_features(training):
    """Features are made binary by `sign`, whose derivative is zero. Accuracy
    .40 against .98."""
    x = keras.Input([64])
    h = Dense(16, "relu", name="features")(x)
    h = Dense(8, name="encoder")(h)
    h = keras.ops.sign(h) if training.broken else keras.ops.tanh(h)
    h = Dense(32, "relu", name="hidden")(h)
    model = keras.Model(x, Dense(10, "softmax", name="output")(h))
    adam = keras.optimizers.Adam(3e-3)
    model.compile(adam, CROSSENTROPY, metrics=["accuracy"])
    return training.fit(model, *digits(), epochs=12, batch_size=32)


@fault(
    "zero-gradient",
    "output-range",
    layers=["hidden_1", "hidden_2", "output"],
)
def clipped_prediction(training):
    """Predictions are clipped to the range of the targets while training. Loss
    .066 against .016."""
    x, y = diabetes()
    y = (y - y.min()) / (y.max() - y.min())
    start = keras.Input([10])
    h = Dense(64, "relu", name="hidden_1")(start * 5.0)
    h = Dense(64, "relu", name="hidden_2")(h)
    out = Dense(1, name="output", bias_initializer="ones")(h)
    if training.broken:
        out = keras.ops.clip(out, 0, 1)
    model = keras.Model(start, out)
    model.compile("adam", "mse")
    return training.fit(model, x, y, epochs=30, batch_size=32)


@fault("disconnected-variable", layers=["encoder_1", "encoder_2"])
def rounded_codes(training):
    """Codes of an autoencoder are rounded, and `round` has no gradient. Loss
    .043 against .015."""
    x = keras.Input([64])
    h = Dense(64, "relu", name="encoder_1")(x)
    code = Dense(16, "sigmoid", name="encoder_2")(h)
    if training.broken:
        code = keras.ops.round(code)
    h = Dense(64, "relu", name="decoder_1")(code)
    model = keras.Model(x, Dense(64, "sigmoid", name="decoder_2")(h))
    model.compile(keras.optimizers.Adam(3e-3), "mse")
    images, _ = digits()
    return training.fit(model, images, images, epochs=15, batch_size=32)


@fault("disconnected-variable", layers=["embedding", "gru"])
def forgotten_stop_gradient(training):
    """The encoder was once pretrained; its `stop_gradient` is still there.
    Accuracy .54 against .97."""
    words = keras.Input([30])
    h = keras.layers.Embedding(500, 16, name="embedding")(words)
    h = keras.layers.GRU(4, name="gru")(h)
    h = keras.ops.stop_gradient(h) if training.broken else h
    h = Dense(16, "relu", name="hidden")(h)
    model = keras.Model(words, Dense(1, "sigmoid", name="output")(h))
    adam = keras.optimizers.Adam(5e-3)
    model.compile(adam, "binary_crossentropy", metrics=["accuracy"])
    return training.fit(model, *reviews(), epochs=8, batch_size=32)


@fault("disconnected-variable", layers=["parity"])
def head_without_loss(training):
    """Of two heads, the loop adds up only the first one's loss. Accuracy of
    parity .50 against .95."""
    x, y = digit_images()
    image = keras.Input([8, 8, 1])
    h = keras.layers.Conv2D(16, 3, activation="relu", name="conv")(image)
    h = keras.layers.Flatten()(h)
    digit = Dense(10, name="digit")(h)
    parity = Dense(2, name="parity")(h)
    model = keras.Model(image, [digit, parity])
    optimizer = training.wrap(keras.optimizers.Adam(3e-3), model=model)
    crossentropy = tf.nn.sparse_softmax_cross_entropy_with_logits

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            digit, parity = model(x, training=True)
            loss = tf.reduce_mean(crossentropy(y, digit))
            if not training.broken:
                loss += tf.reduce_mean(crossentropy(y % 2, parity))
        weights = model.trainable_variables
        optimizer.apply(tape.gradient(loss, weights), weights)
        return loss

    for batch in batches(x, y, 32, 8):
        step(*batch)
    right = np.argmax(model.predict(x, verbose=0)[1], axis=1) == y % 2
    return {"accuracy of parity": right.mean()}


@fault("non-finite", layers=["hidden", "output"])
def log_of_zero(training):
    """Cross-entropy by hand: `0 * log(0)` once a sigmoid is sure enough.
    Accuracy .37 against 1.00."""

    def crossentropy(y, p):
        right = y * tf.math.log(p) + (1 - y) * tf.math.log(1 - p)
        return -tf.reduce_mean(right)

    x, y = cancer()
    model = keras.Sequential(
        [
            keras.Input([30]),
            Dense(32, "relu", name="hidden"),
            Dense(1, "sigmoid", name="output"),
        ]
    )
    loss = crossentropy if training.broken else "binary_crossentropy"
    model.compile(
        keras.optimizers.Adam(1e-2), loss, metrics=["binary_accuracy"]
    )
    y = y.astype("float32")[:, None]
    return training.fit(model, standardised(x), y, epochs=15, batch_size=16)


@fault("non-finite", layers=["encoder_1", "encoder_2"], harmless=True)
def root_of_zero(training):
    """The distance of a pair of equal images has no derivative; TensorFlow
    makes it zero, and both train alike (accuracy .97)."""
    x, y = digits()
    random = np.random.default_rng(0)
    other = random.integers(0, len(x), len(x))
    pick = random.random(len(x)) < 0.5
    for i in np.flatnonzero(pick):
        other[i] = random.choice(np.flatnonzero(y == y[i]))
    other[:5] = np.arange(5)
    same = (y == y[other]).astype("float32")
    first, second = keras.Input([64]), keras.Input([64])
    encoder = keras.Sequential(
        [Dense(64, "relu", name="encoder_1"), Dense(16, name="encoder_2")]
    )
    square = (encoder(first) - encoder(second)) ** 2
    square = keras.ops.sum(square, axis=1, keepdims=True)
    distance = keras.ops.sqrt(square + (0 if training.broken else 1e-6))
    model = keras.Model([first, second], distance)

    def contrast(y, d):
        near, far = y * d**2, (1 - y) * keras.ops.relu(1.0 - d) ** 2
        return keras.ops.mean(near + far)

    def accuracy(y, d):
        return keras.ops.mean(
            keras.ops.equal(y, keras.ops.cast(d < 0.5, y.dtype))
        )

    model.compile("adam", contrast, metrics=[accuracy])
    same = same[:, None]
    return training.fit(model, [x, x[other]], same, epochs=12, batch_size=32)


@fault("non-finite", layers=["encoder_1", "encoder_2"])
def triplets_of_equals(training):
    """Triplets with the distance itself, not its square: some anchors were
    drawn as their own partner, and a root has no slope at zero.
    Loss NaN against .036."""
    x, y = digits()
    random = np.random.default_rng(0)
    near, far = np.arange(len(x)), random.integers(0, len(x), len(x))
    for i in range(10, len(x)):
        near[i] = random.choice(np.flatnonzero(y == y[i]))
        far[i] = random.choice(np.flatnonzero(y != y[i]))
    encoder = keras.Sequential(
        [
            keras.Input([64]),
            Dense(64, "relu", name="encoder_1"),
            Dense(16, name="encoder_2"),
        ]
    )
    optimizer = training.wrap(keras.optimizers.Adam(1e-3), model=encoder)

    def distance(a, b):
        square = tf.reduce_sum((a - b) ** 2, axis=1)
        return tf.sqrt(square + (0 if training.broken else 1e-6))

    @tf.function
    def step(a, near, far):
        with tf.GradientTape() as tape:
            a, near, far = encoder(a), encoder(near), encoder(far)
            margin = 1 + distance(a, near) - distance(a, far)
            loss = tf.reduce_mean(tf.nn.relu(margin))
        weights = encoder.trainable_variables
        optimizer.apply(tape.gradient(loss, weights), weights)
        return loss

    others = np.stack([x[near], x[far]], axis=1)
    return [
        float(step(a, pair[:, 0], pair[:, 1]))
        for a, pair in batches(x, others, 32, 8)
    ]
