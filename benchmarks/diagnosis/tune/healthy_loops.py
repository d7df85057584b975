"""Healthy networks in loops of their own, and in unusual ways of `fit`."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from benchmarks.diagnosis.case import healthy
from benchmarks.diagnosis.data import digit_images, digits
from benchmarks.diagnosis.tune.generators import batches, rings

layers = keras.layers
Dense = layers.Dense
Adam = keras.optimizers.Adam
CROSSENTROPY = "sparse_categorical_crossentropy"


def mlp(last="softmax", width=64):
    """Return a classifier of digits."""
    return keras.Sequential(
        [
            keras.Input([64]),
            Dense(width, "relu"),
            Dense(width, "relu"),
            Dense(10, last),
        ]
    )


@healthy(jit=[False, True], seed=[0])
def own_loop(training):
    """Tape and `tf.function`, compiled by XLA or not."""
    model = mlp(None)
    optimizer = keras.optimizers.SGD(0.1)
    optimizer = training.wrap(optimizer, model=model)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function(jit_compile=training.options["jit"])
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = loss_of(y, model(x, training=True))
        weights = model.trainable_variables
        optimizer.apply_gradients(
            zip(tape.gradient(loss, weights), weights, strict=True)
        )
        return loss

    return [float(step(*batch)) for batch in batches(*digits(), 32, 8)]


@healthy(seed=[0])
def gan(training):
    """Points on a ring, by a generator and a discriminator."""
    real = (2 * rings()[0][rings()[1] == 0]).astype("float32")
    generator = keras.Sequential(
        [keras.Input([4]), Dense(32, "relu"), Dense(32, "relu"), Dense(2)]
    )
    judge = keras.Sequential(
        [
            keras.Input([2]),
            Dense(32),
            layers.LeakyReLU(0.2),
            Dense(32),
            layers.LeakyReLU(0.2),
            Dense(1),
        ]
    )
    makes = training.wrap(Adam(1e-3, beta_1=0.5), model=generator)
    judges = training.wrap(Adam(1e-3, beta_1=0.5), model=judge)
    loss_of = keras.losses.BinaryCrossentropy(from_logits=True)
    yes, no = tf.ones([64, 1]), tf.zeros([64, 1])

    @tf.function
    def step(x):
        noise = tf.random.normal([64, 4])
        with tf.GradientTape() as first, tf.GradientTape() as second:
            made = generator(noise, training=True)
            false = judge(made, training=True)
            loss = loss_of(yes, judge(x, training=True)) + loss_of(no, false)
            other = loss_of(yes, false)
        weights = judge.trainable_variables
        judges.apply(first.gradient(loss, weights), weights)
        weights = generator.trainable_variables
        makes.apply(second.gradient(other, weights), weights)
        return loss, other

    losses = [
        [float(x) for x in step(b)] for b, _ in batches(real, real, 64, 120)
    ]
    made = generator.predict(np.random.normal(size=[500, 4]), verbose=0)
    radius = np.linalg.norm(made, axis=1)
    return {"losses": losses[-1], "radius": (radius.mean(), radius.std())}


@healthy(seed=[0])
def image_gan(training):
    """Digits by a generator with batch norm, and a discriminator."""
    x, _ = digits()
    generator = keras.Sequential([keras.Input([16])])
    for width in (64, 128):
        generator.add(Dense(width, use_bias=False))
        generator.add(layers.BatchNormalization(momentum=0.9))
        generator.add(layers.ReLU())
    generator.add(Dense(64, "sigmoid"))
    judge = keras.Sequential(
        [
            keras.Input([64]),
            Dense(128, layers.LeakyReLU(0.2)),
            layers.Dropout(0.3),
            Dense(64, layers.LeakyReLU(0.2)),
            Dense(1),
        ]
    )
    makes = training.wrap(Adam(5e-4, beta_1=0.5), model=generator)
    judges = training.wrap(Adam(5e-4, beta_1=0.5), model=judge)
    loss_of = keras.losses.BinaryCrossentropy(from_logits=True)
    yes, no = tf.ones([64, 1]), tf.zeros([64, 1])

    @tf.function
    def step(x):
        made = generator(tf.random.normal([64, 16]), training=True)
        with tf.GradientTape() as tape:
            loss = loss_of(0.9 * yes, judge(x, training=True))
            loss += loss_of(no, judge(made, training=True))
        weights = judge.trainable_variables
        judges.apply(tape.gradient(loss, weights), weights)
        with tf.GradientTape() as tape:
            made = generator(tf.random.normal([64, 16]), training=True)
            other = loss_of(yes, judge(made, training=True))
        weights = generator.trainable_variables
        makes.apply(tape.gradient(other, weights), weights)
        return loss, other

    losses = [[float(x) for x in step(b)] for b, _ in batches(x, x, 64, 25)]
    made = generator.predict(np.random.normal(size=[500, 16]), verbose=0)
    distance = np.abs(made.mean(axis=0) - x.mean(axis=0)).mean()
    return {"losses": losses[-1], "distance of means": distance}


class Divergence(layers.Layer):
    """Draws codes, and adds their divergence from a normal to the loss."""

    def call(self, mean, log_variance):
        divergence = keras.ops.exp(log_variance) + mean**2 - 1 - log_variance
        divergence = keras.ops.sum(divergence, axis=1) / 2
        self.add_loss(keras.ops.mean(divergence))
        return mean + keras.ops.exp(log_variance / 2) * keras.random.normal(
            keras.ops.shape(mean), seed=self.seeds
        )

    def __init__(self, **options):
        super().__init__(**options)
        self.seeds = keras.random.SeedGenerator(0)


@healthy(seed=[1])
def variational(training):
    """A variational autoencoder, its error summed over pixels."""
    x, _ = digits()
    image = keras.Input([64])
    h = Dense(64, "relu")(image)
    code = Divergence()(Dense(4)(h), Dense(4)(h))
    h = Dense(64, "relu")(code)
    model = keras.Model(image, Dense(64, "sigmoid")(h))

    def error(y, p):
        return 10 * keras.ops.sum((y - p) ** 2, axis=-1)

    model.compile("adam", error, metrics=["mse"])
    return training.fit(model, x, x, epochs=12, batch_size=32)


@healthy(policy=["mixed_float16", "mixed_bfloat16"])
def mixed_precision(training):
    """Sixteen bits in the forward pass."""
    keras.mixed_precision.set_global_policy(training.options["policy"])
    try:
        model = keras.Sequential(
            [
                keras.Input([64]),
                Dense(64, "relu"),
                Dense(64, "relu"),
                Dense(10),
                layers.Activation("softmax", dtype="float32"),
            ]
        )
        model.compile(Adam(2e-3), CROSSENTROPY, metrics=["accuracy"])
        return training.fit(model, *digits(), epochs=6, batch_size=32)
    finally:
        keras.mixed_precision.set_global_policy("float32")


@healthy(jit_compile=[False, True], steps_per_execution=[8])
def ways_of_fit(training):
    """XLA, and several steps at a time."""
    model = keras.Sequential(
        [
            keras.Input([8, 8, 1]),
            layers.Conv2D(8, 3, activation="relu"),
            layers.Flatten(),
            Dense(32, "tanh"),
            Dense(10, "softmax"),
        ]
    )
    model.compile(
        Adam(3e-3), CROSSENTROPY, metrics=["accuracy"], **training.options
    )
    x, y = digit_images()
    return training.fit(model, x[:1792], y[:1792], epochs=7, batch_size=32)


@healthy(accumulate=[4])
def accumulated(training):
    """Gradients of four batches make one step."""
    model = mlp()
    adam = Adam(
        5e-3,
        gradient_accumulation_steps=training.options["accumulate"],
    )
    model.compile(adam, CROSSENTROPY, metrics=["accuracy"])
    return training.fit(model, *digits(), epochs=12, batch_size=16)


@healthy(seed=[0])
def graph_and_session(training):
    """TensorFlow 1: placeholders, a session, and tanh."""
    from benchmarks.diagnosis.tune import sessions

    def network(x, train):
        h = tf.tanh(sessions.dense(x, 64, "hidden_1"))
        h = tf.tanh(sessions.dense(h, 64, "hidden_2"))
        return sessions.dense(h, 10, "output")

    momentum = sessions.tf1.train.MomentumOptimizer
    return sessions.trained(training, lambda: momentum(0.05, 0.9), network)


@healthy(seed=[0])
def keras_2(training):
    """The same by Keras 2."""
    import tf_keras

    model = tf_keras.Sequential(
        [
            tf_keras.layers.InputLayer([64]),
            tf_keras.layers.Dense(64, "relu"),
            tf_keras.layers.Dropout(0.2),
            tf_keras.layers.Dense(10, "softmax"),
        ]
    )
    model.compile("adam", CROSSENTROPY, metrics=["accuracy"])
    return training.fit(model, *digits(), epochs=8, batch_size=32)
