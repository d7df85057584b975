"""Loops of one's own, sessions and tf_keras, as they should be."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
import tensorflow.compat.v1 as tf1
import tf_keras
from keras import initializers, layers, optimizers

from benchmarks.diagnosis import data
from benchmarks.diagnosis.case import healthy
from benchmarks.diagnosis.seen import generators, sessions


@healthy(seed=[0, 1])
def adversarial(training):
    """A generator and a discriminator take turns on points of a ring; its
    optimizer (the generator's) is looked at."""
    random = np.random.default_rng(0)
    generator = keras.Sequential(
        [
            keras.Input([4]),
            layers.Dense(32, "relu", name="g1"),
            layers.Dense(32, "relu", name="g2"),
            layers.Dense(2, name="points"),
        ]
    )
    critic = keras.Sequential(
        [
            keras.Input([2]),
            layers.Dense(32, layers.LeakyReLU(0.2), name="d1"),
            layers.Dense(32, layers.LeakyReLU(0.2), name="d2"),
            layers.Dense(1, name="real"),
        ]
    )
    entropy = keras.losses.BinaryCrossentropy(from_logits=True)
    optimizer = training.wrap(optimizers.Adam(0.001, 0.5), model=generator)
    other = optimizers.Adam(0.001, 0.5)

    @tf.function
    def step(real, noise):
        ones, zeros = tf.ones([64, 1]), tf.zeros([64, 1])
        with tf.GradientTape() as tape, tf.GradientTape() as other_tape:
            made = generator(noise, training=True)
            told, real_told = critic(made), critic(real)
            loss = entropy(ones, told)
            other_loss = entropy(ones, real_told) + entropy(zeros, told)
        weights = generator.trainable_variables
        optimizer.apply(tape.gradient(loss, weights), weights)
        weights = critic.trainable_variables
        other.apply(other_tape.gradient(other_loss, weights), weights)

    for _ in range(1000):
        angle = random.uniform(0, 2 * np.pi, 64)
        ring = np.stack([np.cos(angle), np.sin(angle)], 1) * 1.5
        noise = random.normal(size=[64, 4])
        step(ring.astype("float32"), noise.astype("float32"))
    made = generator(random.normal(size=[500, 4])).numpy()
    radius = np.hypot(made[:, 0], made[:, 1])
    return float(radius.mean()), float(radius.std()), made.std(axis=0)


@healthy(way=["eager", "graph", "jit"], seed=[0])
def loop_of_mine(training):
    """A loop over batches, eagerly and as a function."""
    x, y = data.digits()
    model = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(64, "relu", name="dense1"),
            layers.Dense(32, "relu", name="dense2"),
            layers.Dense(10, name="logits"),
        ]
    )
    weights = model.trainable_variables
    optimizer = training.wrap(optimizers.Adam(0.003), model=model)

    def step(x, y):
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                y, model(x, training=True)
            )
            loss = tf.reduce_mean(losses)
        optimizer.apply(tape.gradient(loss, weights), weights)
        return loss

    way = training.options["way"]
    if way != "eager":
        step = tf.function(step, jit_compile=way == "jit")
    random = np.random.default_rng(0)
    for _ in range(200 if way == "eager" else 500):
        rows = random.choice(len(x), 64)
        loss = step(tf.constant(x[rows]), tf.constant(y[rows]))
    return float(loss)


@healthy(seed=[0])
def softmax_regression(training):
    """The first tutorial of TensorFlow: one layer, which may be all zeros."""
    x, y = generators.large_digits()

    def build(images, labels):
        w, b = sessions.variables("softmax", tf1.zeros, 784, 10)
        logits = tf1.matmul(images, w) + b
        losses = tf1.nn.sparse_softmax_cross_entropy_with_logits(
            labels=labels, logits=logits
        )
        return tf1.reduce_mean(losses), sessions.accuracy(logits, labels)

    def optimizer():
        return tf1.train.GradientDescentOptimizer(0.1)

    return sessions.train(training, build, optimizer, x.reshape(-1, 784), y)


@healthy(optimizer=["momentum", "adam"], seed=[0])
def perceptron_in_a_session(training):
    """Two hidden layers, by hand."""
    x, y = data.cancer()
    x = data.standardised(x)

    def build(columns, labels):
        start = initializers.HeNormal(training.options["seed"])
        w1, b1 = sessions.variables("h1", start, 30, 32)
        w2, b2 = sessions.variables("h2", start, 32, 16)
        w3, b3 = sessions.variables("out", start, 16, 2)
        hidden = tf1.nn.relu(tf1.matmul(columns, w1) + b1)
        hidden = tf1.nn.relu(tf1.matmul(hidden, w2) + b2)
        logits = tf1.matmul(hidden, w3) + b3
        losses = tf1.nn.sparse_softmax_cross_entropy_with_logits(
            labels=labels, logits=logits
        )
        return tf1.reduce_mean(losses), sessions.accuracy(logits, labels)

    def optimizer():
        if training.options["optimizer"] == "adam":
            return tf1.train.AdamOptimizer(0.003)
        return tf1.train.MomentumOptimizer(0.01, 0.9)

    return sessions.train(training, build, optimizer, x, y, steps=300)


@healthy(seed=[0])
def legacy_keras(training):
    """The same in tf_keras, with dropout and validation."""
    model = tf_keras.Sequential(
        [
            tf_keras.Input([64]),
            tf_keras.layers.Dense(64, "relu", name="dense1"),
            tf_keras.layers.Dropout(0.2, name="drop"),
            tf_keras.layers.Dense(10, "softmax", name="classes"),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    model.compile(tf_keras.optimizers.Adam(), loss, metrics=["accuracy"])
    x, y, held_out = generators.split(*data.digits())
    training.fit(model, x, y, epochs=12, validation_data=held_out)


@healthy(seed=[0])
def variational(training):
    """A variational autoencoder, both parts of its loss sums over a row."""
    x, _ = data.digits()
    encoder = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(48, "relu", name="encode"),
            layers.Dense(8, name="mean_and_log_var"),
        ]
    )
    decoder = keras.Sequential(
        [
            keras.Input([4]),
            layers.Dense(48, "relu", name="decode"),
            layers.Dense(64, name="pixels"),
        ]
    )
    weights = encoder.trainable_variables + decoder.trainable_variables
    optimizer = training.wrap(optimizers.Adam(0.003))

    @tf.function
    def step(x, noise):
        with tf.GradientTape() as tape:
            mean, log_var = tf.split(encoder(x), 2, axis=1)
            logits = decoder(mean + tf.exp(log_var / 2) * noise)
            losses = tf.nn.sigmoid_cross_entropy_with_logits(x, logits)
            terms = tf.exp(log_var) + mean**2 - 1 - log_var
            divergence = tf.reduce_sum(terms, 1) / 2
            total = tf.reduce_mean(tf.reduce_sum(losses, 1) + divergence)
        optimizer.apply(tape.gradient(total, weights), weights)
        error = tf.reduce_mean((tf.sigmoid(logits) - x) ** 2)
        return total, error, tf.reduce_mean(divergence)

    random = np.random.default_rng(0)
    for _ in range(800):
        rows = random.choice(len(x), 64)
        told = step(x[rows], random.normal(size=[64, 4]).astype("float32"))
    return [float(t) for t in told]
