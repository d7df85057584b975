"""Distances, hints and equations that train as they should."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind3 import sources
from benchmarks.diagnosis.case import healthy


def _views(r, images):
    """Shift and dim pictures `[n, 8, 8]`, each in its own way."""
    shift = r.integers(-1, 2, (len(images), 2))
    moved = [np.roll(i, s, (0, 1)) for i, s in zip(images, shift, strict=True)]
    light = r.uniform(0.7, 1.3, (len(images), 1))
    return (np.reshape(moved, (-1, 64)) * light).astype("float32")


@healthy(seed=[0])
def views_against_the_batch(training):
    """InfoNCE of two views of a digit at a temperature of 0.1: the others of
    the batch have often the same label, so the loss stays high. Accuracy of
    the nearest neighbour .89."""
    x, y, xt, yt = sources.digits()
    r = np.random.default_rng(6)
    tower = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(96, activation="relu", name="hidden"),
            layers.Dense(24, name="embedding"),
            layers.UnitNormalization(),
        ]
    )
    optimizer = training.wrap(keras.optimizers.Adam(0.002), model=tower)

    @tf.function
    def step(a, b):
        with tf.GradientTape() as tape:
            score = tf.matmul(tower(a), tower(b), transpose_b=True) / 0.1
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(
                tf.range(len(a)), score
            )
            loss = tf.reduce_mean(loss)
        sources.descend(optimizer, tape, loss, tower.trainable_variables)

    images = x.reshape(-1, 8, 8)
    for _ in range(250):
        some = images[r.integers(0, len(x), 64)]
        step(_views(r, some), _views(r, some))
    return sources.nearest(tower(x), y, tower(xt), yt)


@healthy(seed=[0])
def pupil_of_its_own_average(training):
    """BYOL: a network follows its own moving average and has no wrong answers.
    Accuracy of the nearest neighbour .92."""
    x, y, xt, yt = sources.digits()
    r = np.random.default_rng(7)
    online = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(96, name="hidden"),
            layers.BatchNormalization(momentum=0.9, name="norm"),
            layers.ReLU(),
            layers.Dense(24, name="embedding"),
        ]
    )
    slow = keras.models.clone_model(online)
    slow.set_weights(online.get_weights())
    predictor = sources.perceptron(24, [48], 24, name="predictor")
    optimizer = training.wrap(keras.optimizers.Adam(0.002))

    @tf.function
    def step(a, b):
        with tf.GradientTape() as tape:
            loss = 0.0
            for one, two in ((a, b), (b, a)):
                p = predictor(online(one, training=True))
                z = tf.stop_gradient(slow(two, training=True))
                p, z = tf.nn.l2_normalize(p, 1), tf.nn.l2_normalize(z, 1)
                loss -= tf.reduce_mean(tf.reduce_sum(p * z, 1))
        weights = online.trainable_variables + predictor.trainable_variables
        sources.descend(optimizer, tape, loss, weights)
        for v, w in zip(slow.weights, online.weights, strict=True):
            v.assign(0.97 * v + 0.03 * w)

    images = x.reshape(-1, 8, 8)
    for _ in range(250):
        some = images[r.integers(0, len(x), 64)]
        step(_views(r, some), _views(r, some))
    return sources.nearest(online(x), y, online(xt), yt)


@healthy(seed=[0])
def hints_of_a_hidden_layer(training):
    """A narrow network is told the hidden layer of a wide one through a layer
    that is thrown away. Accuracy .94."""
    x, y, xt, yt = sources.digits()
    wide = sources.perceptron(64, [96], 10, "softmax", name="wide")
    sources.classifier(wide).fit(x, y, epochs=8, verbose=0)
    hint = np.asarray(wide.layers[0](x))
    inputs = keras.Input((64,))
    h = layers.Dense(24, activation="relu", name="narrow")(inputs)
    told = layers.Dense(96, name="told")(h)
    out = layers.Dense(10, activation="softmax", name="digit")(h)
    model = keras.Model(inputs, [told, out])
    model.compile(
        keras.optimizers.Adam(0.005),
        ["mse", sources.SPARSE],
        loss_weights=[3.0, 1.0],
    )
    training.fit(model, x, [hint, y], epochs=12, batch_size=32)
    guess = np.asarray(model(xt)[1]).argmax(1)
    return {"accuracy": float(np.mean(guess == yt))}


@healthy(seed=[0])
def mixed_pictures(training):
    """Mixup: the labels are mixtures too, so the loss cannot get near 0 and
    the accuracy in training is low. Accuracy .94."""
    x, y, xt, yt = sources.digits()
    r = np.random.default_rng(8)
    rows = np.concatenate([r.permutation(len(x)) for _ in range(4)])
    other = r.permutation(rows)
    share = r.beta(1, 1, (len(rows), 1)).astype("float32")
    label = sources.one_hot(y)
    mixed = share * x[rows] + (1 - share) * x[other]
    soft = share * label[rows] + (1 - share) * label[other]
    model = sources.perceptron(64, [64], 10, "softmax")
    model.compile(
        keras.optimizers.Adam(0.005),
        "categorical_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(model, mixed, soft, epochs=8, batch_size=64)
    return sources.accuracy(model, xt, yt)


@healthy(seed=[0])
def heat_between_two_walls(training):
    """A network that solves u_t = 0.2 u_xx between two cold walls: no data but
    the start, and second derivatives. Explained share of the solution .99."""
    r = np.random.default_rng(9)
    model = sources.perceptron(2, [32, 32], 1, name="u", hidden="tanh")
    optimizer = training.wrap(keras.optimizers.Adam(0.005), model=model)

    @tf.function
    def step(place, time):
        with tf.GradientTape() as tape:
            with tf.GradientTape() as second:
                second.watch(place)
                with tf.GradientTape(persistent=True) as first:
                    first.watch([place, time])
                    u = model(tf.concat([place, time], 1))
                slope = first.gradient(u, place)
                change = first.gradient(u, time)
            bend = second.gradient(slope, place)
            loss = tf.reduce_mean((change - 0.2 * bend) ** 2)
            zero = tf.zeros_like(time)
            start = model(tf.concat([place, zero], 1))
            error = (start - tf.sin(np.pi * place)) ** 2
            walls = [
                model(tf.concat([w, time], 1)) ** 2
                for w in (zero, tf.ones_like(zero))
            ]
            loss += 10 * tf.reduce_mean(error + walls[0] + walls[1])
        sources.descend(optimizer, tape, loss, model.trainable_variables)

    for _ in range(700):
        points = r.uniform(0, 1, (2, 64, 1)).astype("float32")
        step(*tf.unstack(points))
    points = r.uniform(0, 1, (500, 2)).astype("float32")
    truth = np.sin(np.pi * points[:, :1])
    truth = truth * np.exp(-0.2 * np.pi**2 * points[:, 1:])
    return sources.explained(truth, model(points))
