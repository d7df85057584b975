"""Representations, generators and agents that look odd and learn."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind4 import sources
from benchmarks.diagnosis.case import healthy


@healthy(seed=[0])
def tower_that_is_frozen(training):
    """Two towers, of which one was trained for another task and is frozen; the
    other learns to meet it. Accuracy .86."""
    x, y, xt, yt = sources.digits()
    old = sources.perceptron(64, [48], 10, "softmax", name="old")
    sources.classifier(old, 0.005).fit(x, y, epochs=3, verbose=0)
    tower = keras.Model(old.inputs, old.layers[0].output, name="tower")
    tower.trainable = False
    r = np.random.default_rng(2)
    turn = np.linalg.qr(r.normal(size=(64, 64)))[0]
    other = (x @ turn).astype("float32")
    inputs = [keras.Input((64,)), keras.Input((64,))]
    new = sources.perceptron(64, [64], 48, name="new")
    near = layers.Dot(1, normalize=True, name="near")(
        [tower(inputs[0]), new(inputs[1])]
    )
    model = keras.Model(inputs, near)
    rows = r.permutation(len(x))
    first = np.concatenate([x, x])
    second = np.concatenate([other, other[rows]])
    same = np.concatenate([np.ones(len(x)), y == y[rows]])
    model.compile(keras.optimizers.Adam(0.003), "mse")
    training.fit(
        model,
        [first, second],
        2 * same[:, None] - 1,
        epochs=6,
        batch_size=64,
    )
    faces = np.asarray(tower(x))
    made = np.asarray(new((xt @ turn).astype("float32")))
    faces = faces / (np.linalg.norm(faces, axis=1, keepdims=True) + 1e-6)
    return {"accuracy": float(np.mean(y[(made @ faces.T).argmax(1)] == yt))}


class Bits(layers.Layer):
    """Draws codes; the first half a nat of each number is free."""

    def __init__(self, **options):
        super().__init__(**options)
        self.noise = keras.random.SeedGenerator(4)

    def call(self, inputs):
        mean, log = inputs
        kl = 0.5 * (mean**2 + tf.exp(log) - log - 1)
        kl = tf.maximum(tf.reduce_mean(kl, 0), 0.5)
        self.add_loss(tf.reduce_sum(kl))
        noise = keras.random.normal(tf.shape(mean), seed=self.noise)
        return mean + tf.exp(0.5 * log) * noise


@healthy(seed=[0])
def free_bits(training):
    """A VAE whose divergence is constant at first and has no gradient.
    Explained share .78."""
    x, _, xt, _ = sources.digits()
    inputs = keras.Input((64,))
    h = layers.Dense(64, activation="relu", name="encoder")(inputs)
    code = Bits(name="bits")(
        [layers.Dense(6, name="mean")(h), layers.Dense(6, name="log")(h)]
    )
    h = layers.Dense(64, activation="relu", name="decoder")(code)
    model = keras.Model(inputs, layers.Dense(64, name="picture")(h))

    def near(truth, guess):
        return 8 * tf.reduce_sum((truth - guess) ** 2, -1)

    model.compile(keras.optimizers.Adam(0.005), near)
    training.fit(model, x, x, epochs=10, batch_size=32)
    return sources.explained(xt, model(xt))


class Largest(layers.Layer):
    """Keeps the 6 largest numbers of each row."""

    def call(self, x):
        least = tf.math.top_k(x, 6).values[:, -1:]
        return tf.where(x >= least, x, 0.0)


@healthy(seed=[0])
def six_units_of_many(training):
    """A sparse autoencoder: 122 of 128 units are 0 for each picture. Explained
    share .82."""
    x, _, xt, _ = sources.digits()
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(128, name="code"),
            Largest(name="largest"),
            layers.Dense(64, name="picture"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "mse")
    training.fit(model, x, x, epochs=8, batch_size=32)
    return sources.explained(xt, model(xt))


@healthy(seed=[0])
def three_quarters_are_hidden(training):
    """A masked autoencoder: three of four inputs are 0 and only these places
    count in the loss. Explained share .60."""
    x, _, xt, _ = sources.digits()
    model = sources.perceptron(128, [128, 128], 64, name="guess")
    optimizer = training.wrap(keras.optimizers.Adam(0.002), model=model)
    r = np.random.default_rng(7)

    @tf.function
    def step(images, seen):
        with tf.GradientTape() as tape:
            guess = model(tf.concat([images * seen, seen], 1))
            error = (1 - seen) * (guess - images) ** 2
            loss = tf.reduce_sum(error) / tf.reduce_sum(1 - seen)
        sources.descend(optimizer, tape, loss, model.trainable_variables)

    for images, _ in sources.batches(x, x, 32, 12):
        seen = (r.random(images.shape) < 0.25).astype("float32")
        step(tf.constant(images), tf.constant(seen))
    seen = (r.random(xt.shape) < 0.25).astype("float32")
    guess = np.asarray(model(np.concatenate([xt * seen, seen], 1)))
    hidden = seen == 0
    return sources.explained(xt[hidden], guess[hidden])
