"""Ends, codes and returns that are not what they should be."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind2 import policies
from benchmarks.diagnosis.blind3 import sources
from benchmarks.diagnosis.case import fault


@fault(
    cause="An example has several labels, and the softmax has to divide one "
    "between them, so few of them come near to a half.",
    layers=["out"],
    source="https://stackoverflow.com/questions/44164749/"
    "how-does-keras-handle-multilabel-classification",
)
def several_labels_of_one_softmax(training):
    """Labels with several ones in a row, a softmax and cross-entropy. Share of
    the labels found .26 against .95."""
    r = np.random.default_rng(17)
    x = r.normal(size=(1200, 16)).astype("float32")
    y = (x @ r.normal(size=(16, 8)) > 1).astype("float32")
    x, y, xt, yt = sources.split(x, y)
    last = "softmax" if training.broken else "sigmoid"
    loss = "categorical" if training.broken else "binary"
    model = keras.Sequential(
        [
            keras.Input((16,)),
            layers.Dense(48, activation="relu", name="hidden"),
            layers.Dense(8, activation=last, name="out"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), f"{loss}_crossentropy")
    training.fit(model, x, y, epochs=12, batch_size=32)
    guess = np.asarray(model(xt)) > 0.5
    return {"found": float(guess[yt > 0.5].mean())}


@fault(
    cause="The normalisation is over the axis of the rows and not of the "
    "channels, so channels of very different sizes stay so.",
    layers=["norm"],
    source="https://github.com/tanakataiki/ssd_kerasV2/issues/20",
)
def normalised_over_rows(training):
    """`channel_axis = 1` where the channels are last. Accuracy .08 against
    .95."""
    x, y, xt, yt = sources.digit_images()
    r = np.random.default_rng(18)

    def bands(images):
        other = r.normal(size=(*images.shape[:3], 1)) * 300
        return np.concatenate([images, other], -1).astype("float32")

    axis = 1 if training.broken else -1
    model = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            layers.BatchNormalization(axis, momentum=0.9, name="norm"),
            layers.Conv2D(12, 3, activation="relu", name="c1"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax", name="out"),
        ]
    )
    training.fit(
        sources.classifier(model, 0.005), bands(x), y, epochs=8, batch_size=32
    )
    return sources.accuracy(model, bands(xt), yt)


@fault(
    cause="Pixels are whole numbers up to 255 while the decoder ends in a "
    "sigmoid, so all that is not black is driven to 1.",
    layers=["decoder_out", "data"],
    source="https://github.com/keras-team/keras/issues/3642",
)
def bytes_from_a_sigmoid(training):
    """The autoencoder of a tutorial, without the division by 255. Explained
    share of the pictures -2.28 against .93."""
    x, _, xt, _ = sources.digits()
    unit = 255 if training.broken else 1
    encoder = sources.perceptron(64, [], 24, "relu", name="encoder")
    decoder = sources.perceptron(24, [], 64, "sigmoid", name="decoder")
    model = keras.Sequential([encoder, decoder])
    model.compile(keras.optimizers.Adam(0.005), "binary_crossentropy")
    training.fit(model, unit * x, unit * x, epochs=15, batch_size=32)
    return sources.explained(xt, model(unit * xt))


@fault(
    cause="Both parts of the loss are means, the one over the pixels and the "
    "other over the codes, so the divergence outweighs the few pixels.",
    layers=["codes_out"],
    source="https://github.com/AppliedDataSciencePartners/WorldModels/"
    "issues/12",
)
def means_of_pixels_and_codes(training):
    """A variational autoencoder whose divergence is 4e-7: the posterior is the
    prior. Explained share of the pictures .48 against .79."""
    x, _, xt, _ = sources.digits()
    encoder = sources.perceptron(64, [64], 8, name="codes")
    decoder = sources.perceptron(4, [64], 64, "sigmoid", name="decoder")
    optimizer = training.wrap(keras.optimizers.Adam(0.003))

    @tf.function
    def step(images):
        with tf.GradientTape() as tape:
            mean, log = tf.split(encoder(images), 2, 1)
            noise = tf.random.normal(tf.shape(mean))
            guess = decoder(mean + tf.exp(log / 2) * noise)
            error = (images - guess) ** 2
            apart = -0.5 * (1 + log - mean**2 - tf.exp(log))
            if training.broken:
                loss = tf.reduce_mean(error) + tf.reduce_mean(apart)
            else:
                loss = tf.reduce_mean(tf.reduce_sum(error, 1))
                loss += 0.1 * tf.reduce_mean(tf.reduce_sum(apart, 1))
        weights = encoder.trainable_variables + decoder.trainable_variables
        sources.descend(optimizer, tape, loss, weights)

    for images, _ in sources.batches(x, x, 64, 30):
        step(tf.constant(images))
    mean = tf.split(encoder(xt), 2, 1)[0]
    return sources.explained(xt, decoder(mean))


def to_come(rewards, broken):
    """Return the discounted rewards to come `[count, steps]`, turned round
    once for each step if it is done inside of the loop."""
    come = []
    total = np.zeros(len(rewards))
    for reward in rewards.T[::-1]:
        total = reward + 0.5 * total
        come.append(total)
        if broken:
            come.reverse()
    if not broken:
        come.reverse()
    return np.stack(come, 1).astype("float32")


@fault(
    cause="The list of returns is reversed inside of the loop over the "
    "rewards, so most of them stand at the step of another one.",
    layers=["actor_1", "actor_out"],
    source="https://github.com/PacktPublishing/"
    "Tensorflow-2-Reinforcement-Learning-Cookbook/issues/27",
)
def reversed_at_each_step(training):
    """A policy gradient with `reverse()` indented too far. Share of right
    actions .77 against .96."""
    r = np.random.default_rng(20)
    plan = r.normal(size=(4, 5))
    actor = sources.perceptron(4, [32], 5, name="actor", hidden="tanh")
    optimizer = training.wrap(keras.optimizers.Adam(0.01), model=actor)
    act = tf.function(actor)

    @tf.function
    def step(s, a, gain):
        with tf.GradientTape() as tape:
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(a, actor(s))
            loss = tf.reduce_mean(loss * gain)
        sources.descend(optimizer, tape, loss, actor.trainable_variables)

    def states(n):
        s = r.uniform(-1, 1, (n, 4)).astype("float32")
        return s, (s @ plan).argmax(1)

    for _ in range(150):
        s, best = states(24 * 12)
        a = (np.asarray(act(s)) + r.gumbel(size=(len(s), 5))).argmax(1)
        reward = (a == best).astype("float32").reshape(24, 12)
        come = to_come(reward, training.broken)
        gain = (come - come.mean(0)) / (come.std(0) + 1e-6)
        step(tf.constant(s), tf.constant(a), tf.constant(gain.reshape(-1)))
    s, best = states(500)
    return {"right": float(np.mean(np.asarray(act(s)).argmax(1) == best))}


@fault(
    cause="The network is trained towards the returns as if they were labels, "
    "and nothing tells it which action was taken.",
    layers=["loss"],
    source="https://github.com/adventuresinML/adventures-in-ml-code/pull/29",
)
def returns_without_actions(training):
    """REINFORCE with `train_on_batch(states, returns)`: the actions occur
    nowhere. Mean reward -3.37 against -.02."""
    actor = sources.perceptron(2, [32], 5, name="actor", hidden="tanh")
    logits = keras.Model(actor.inputs, actor.outputs)
    actor.compile(
        training.wrap(keras.optimizers.Adam(0.01), model=actor),
        keras.losses.CategoricalCrossentropy(from_logits=True),
    )
    carts = policies.Carts(24, 1)
    act = tf.function(logits)
    for _ in range(80):
        s, a, come, _ = carts.play(act, 15)
        gain = (come - come.mean(0)) / (come.std(0) + 1e-6)
        s, a, gain = s.reshape(-1, 2), a.reshape(-1), gain.reshape(-1)
        if training.broken:
            actor.train_on_batch(s, np.repeat(gain[:, None], 5, 1))
        else:
            actor.train_on_batch(s, sources.one_hot(a, 5), gain)
    reward = policies.Carts(200, 9).play(act, 40, greedy=True)[3]
    return {"reward": round(reward, 3)}
