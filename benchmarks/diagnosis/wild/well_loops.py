"""Healthy loops of one's own, with losses that do not simply fall."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.case import healthy
from benchmarks.diagnosis.report import sources
from benchmarks.diagnosis.wild import embeddings, own_steps, tools


@healthy(seed=[0, 1])
def accumulation(training):
    """Gradients of eight batches of four are averaged, then applied. Accuracy
    .93 and .94."""
    x, y, xt, yt = sources.digits()
    model = tools.perceptron(64, [64, 64], 10)
    optimizer = training.wrap(
        keras.optimizers.SGD(0.15, momentum=0.9), model=model
    )
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    weights = model.trainable_variables
    sums = [tf.Variable(tf.zeros_like(w), trainable=False) for w in weights]

    @tf.function
    def collect(a, b):
        with tf.GradientTape() as tape:
            loss = entropy(b, model(a, training=True)) / 8
        for total, g in zip(sums, tape.gradient(loss, weights), strict=True):
            total.assign_add(g)

    for i, (a, b) in enumerate(sources.batches(x, y, 4, 15), 1):
        collect(tf.constant(a), tf.constant(b))
        if i % 8 == 0:
            optimizer.apply([s.value() for s in sums], weights)
            for total in sums:
                total.assign(tf.zeros_like(total))
    return sources.accuracy(model, xt, yt)


@healthy(temperature=[0.1, 0.5])
def two_views_of_a_picture(training):
    """NT-Xent with a projection that is thrown away afterwards. Accuracy .92
    and .94."""
    x, y, xt, yt = sources.digits()
    encode = tools.perceptron(64, [128], 64, "relu", "encode")
    project = tools.perceptron(64, [32], 16, name="project")
    model = keras.Sequential([encode, project])
    optimizer = training.wrap(keras.optimizers.Adam(0.002), model=model)
    temperature = training.options["temperature"]

    def loss(a, b):
        both = model(tf.concat([a, b], 0), training=True)
        both = tf.math.l2_normalize(both, axis=1)
        n = tf.shape(a)[0]
        likeness = tf.matmul(both, both, transpose_b=True) / temperature
        likeness -= 1e9 * tf.eye(2 * n)
        labels = tf.concat([tf.range(n, 2 * n), tf.range(n)], 0)
        entropy = tf.nn.sparse_softmax_cross_entropy_with_logits
        return tf.reduce_mean(entropy(labels, likeness))

    embeddings.two_views(training, loss, model, optimizer, 30)
    return tools.neighbours(encode, x, y, xt, yt)


@healthy(seed=[0, 1])
def mean_of_hard_triplets(training):
    """The loss is the mean of those above 0 and stays near the margin, while
    they become few. Accuracy .95 and .96."""
    x, y, xt, yt = sources.digits()
    model = tools.perceptron(64, [64], 8)
    optimizer = training.wrap(keras.optimizers.Adam(0.002), model=model)

    def loss(labels, embedding):
        e = tf.math.l2_normalize(embedding, axis=1)
        distance = 2 - 2 * tf.matmul(e, e, transpose_b=True)
        return embeddings.triplets(labels, distance)

    step = tools.minimise(model, optimizer, loss)
    for a, b in sources.batches(x, y, 32, 10):
        step(tf.constant(a), tf.constant(b))
    return tools.neighbours(model, x, y, xt, yt)


@healthy(seed=[0])
def divergence_that_warms_up(training):
    """A variational autoencoder whose loss rises as the weight of its
    divergence goes from 0 to 1. Bound 25, of which 3 are divergence."""
    x, _, xt, _ = sources.digits()
    beta = tf.Variable(0.0, trainable=False)
    model = own_steps.Annealed(beta)
    model.compile(keras.optimizers.Adam(0.003))
    raised = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, _: beta.assign(min(1, epoch / 15))
    )
    training.fit(model, x, epochs=30, batch_size=32, callbacks=[raised])
    error, kl = model.terms(tf.constant(xt))
    return {"bound": float(error + kl), "kl": float(kl)}


@healthy(seed=[0, 1])
def equation_of_an_oscillator(training):
    """A physics-informed network: u'' = -4 u with u(0) = 1, u'(0) = 0; its
    loss has second derivatives, and there are no labels. R2 1.00."""
    model = keras.Sequential([keras.Input((1,))])
    for i in range(1, 4):
        model.add(layers.Dense(32, activation="tanh", name=f"tanh_{i}"))
    model.add(layers.Dense(1, name="u"))
    schedule = keras.optimizers.schedules.CosineDecay(0.005, 2500)
    optimizer = training.wrap(keras.optimizers.Adam(schedule), model=model)
    zero = tf.zeros([1, 1])

    @tf.function
    def step(t):
        with tf.GradientTape() as tape:
            with tf.GradientTape() as outer:
                outer.watch(t)
                with tf.GradientTape() as inner:
                    inner.watch(t)
                    u = model(t, training=True)
                speed = inner.gradient(u, t)
            residual = outer.gradient(speed, t) + 4 * u
            with tf.GradientTape() as start:
                start.watch(zero)
                first = model(zero, training=True)
            loss = tf.reduce_mean(residual**2)
            loss += 20 * tf.reduce_mean((first - 1) ** 2)
            loss += 20 * tf.reduce_mean(start.gradient(first, zero) ** 2)
        weights = model.trainable_variables
        optimizer.apply(tape.gradient(loss, weights), weights)

    r = np.random.default_rng(0)
    for _ in range(2500):
        step(tf.constant(r.uniform(0, 3, (64, 1)), tf.float32))
    t = np.linspace(0, 3, 100, dtype="float32")[:, None]
    return sources.r2(model, t, np.cos(2 * t))


@healthy(codes=[16])
def codes_of_pictures(training):
    """Vector quantisation with straight-through gradients; some of the codes
    are hardly used, and the encoder's error is as large as the decoder's. R2
    .83."""
    x, _, xt, _ = sources.digits()
    count = training.options["codes"]
    encode = tools.perceptron(64, [64], 4 * 8, name="encode")
    decode = tools.perceptron(4 * 8, [64], 64, name="decode")
    rows = [encode(x[i : i + 1]) for i in range(0, 4 * count, 4)]
    start = tf.reshape(tf.concat(rows, 0), [-1, 8])[:count]
    book = keras.Variable(start.numpy(), name="book")
    model = keras.Sequential([encode, decode])
    model.book = book
    optimizer = training.wrap(keras.optimizers.Adam(0.003), model=model)

    def quantised(a):
        z = tf.reshape(encode(a), [-1, 4, 8])
        codes = tf.convert_to_tensor(book)
        gap = tf.reduce_sum((z[:, :, None] - codes) ** 2, -1)
        return z, tf.gather(codes, tf.argmin(gap, -1))

    @tf.function
    def step(a):
        with tf.GradientTape() as tape:
            z, q = quantised(a)
            passed = z + tf.stop_gradient(q - z)
            made = decode(tf.reshape(passed, [-1, 32]), training=True)
            loss = tf.reduce_mean((made - a) ** 2)
            loss += tf.reduce_mean((tf.stop_gradient(z) - q) ** 2)
            loss += 0.25 * tf.reduce_mean((z - tf.stop_gradient(q)) ** 2)
        weights = [*model.trainable_variables]
        if not any(w is book for w in weights):
            weights.append(book)
        optimizer.apply(tape.gradient(loss, weights), weights)

    for a, _ in sources.batches(x, x, 32, 30):
        step(tf.constant(a))

    def whole(a, training):
        return decode(tf.reshape(quantised(a)[1], [-1, 32]))

    return sources.r2(whole, xt, xt)
