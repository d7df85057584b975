"""Losses of one's own."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind2 import sources
from benchmarks.diagnosis.case import fault


def _teacher(x, y):
    """Train a network whose soft answers are learnt from."""
    teacher = sources.perceptron(64, [96], 10, name="teacher")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    teacher.compile(keras.optimizers.Adam(0.003), loss)
    teacher.fit(x, y, epochs=10, verbose=0)
    return teacher


@fault(
    cause="The divergence is taken of the teacher's soft answers to the "
    "teacher's again and not to the pupil's, so it is 0 and has no gradient.",
    source="https://github.com/labmlai/"
    "annotated_deep_learning_paper_implementations/issues/66",
)
def teacher_compared_to_itself(training):
    """Distillation after a refactoring: the teacher's logits stand twice, and
    nothing is distilled. Agreement with the teacher .66 against .98."""
    x, y, xt, _ = sources.digits()
    teacher = _teacher(x, y)
    answers = np.asarray(teacher(x))
    pupil = sources.perceptron(64, [24], 10, name="pupil")
    few = np.arange(len(y)) < 40
    packed = np.concatenate(
        [answers, sources.one_hot(y) * few[:, None]], 1
    ).astype("float32")

    def distilled(truth, logits):
        large, label = truth[:, :10], truth[:, 10:]
        small = large if training.broken else logits
        soft = tf.nn.softmax(large / 4)
        gap = tf.nn.log_softmax(large / 4) - tf.nn.log_softmax(small / 4)
        hard = -tf.reduce_sum(label * tf.nn.log_softmax(logits), -1)
        return 16 * tf.reduce_sum(soft * gap, -1) + hard

    pupil.compile(keras.optimizers.Adam(0.005), distilled)
    training.fit(pupil, x, packed, epochs=12, batch_size=32)
    same = np.asarray(teacher(xt)).argmax(1) == np.asarray(pupil(xt)).argmax(1)
    return {"agreement": float(same.mean())}


@fault(
    "output-range",
    cause="The divergence is given the pupil's probabilities where their "
    "logarithms belong, so it only asks for more of the likeliest class.",
    source="https://github.com/microsoft/ProDA/issues/20",
)
def divergence_without_the_logarithm(training):
    """A Kullback-Leibler divergence of two softmaxes, none of them a
    logarithm. Error of the soft answers, in nats, 4.07 against .00."""
    x, y, xt, _ = sources.digits()
    teacher = _teacher(x, y)
    soft = np.asarray(tf.nn.softmax(teacher(x) / 4))
    pupil = sources.perceptron(64, [24], 10, name="pupil")

    def divergence(truth, logits):
        guess = tf.nn.softmax(logits)
        second = guess if training.broken else tf.nn.log_softmax(logits)
        terms = truth * (tf.math.log(truth + 1e-9) - second)
        return tf.reduce_sum(terms, -1)

    pupil.compile(keras.optimizers.Adam(0.005), divergence)
    training.fit(pupil, x, soft, epochs=15, batch_size=32)
    truth = tf.nn.softmax(teacher(xt) / 4)
    gap = tf.math.log(truth + 1e-9) - tf.nn.log_softmax(pupil(xt))
    return {"nats": float(tf.reduce_mean(tf.reduce_sum(truth * gap, 1)))}


@fault(
    cause="A Dense(1) with a sigmoid comes after the distance, so what the "
    "contrastive loss takes for a distance lies between 0 and 1.",
    layers=["distance"],
    source="https://github.com/keras-team/keras-io/pull/2261",
    harmless=True,
)
def distance_through_a_sigmoid(training):
    """The siamese tutorial squashes the distance before a loss with a margin
    of 1: pairs that differ cannot get far enough apart. Accuracy of the
    nearest neighbour .95 against .94."""
    x, y, xt, yt = sources.digits()
    r = np.random.default_rng(1)
    tower = sources.perceptron(64, [48], 8, name="tower")
    a, b = keras.Input((64,)), keras.Input((64,))
    gap = layers.Subtract()([tower(a), tower(b)])
    far = layers.Lambda(
        lambda t: tf.sqrt(tf.reduce_sum(t**2, 1, keepdims=True) + 1e-9), (1,)
    )(gap)
    if training.broken:
        far = layers.BatchNormalization(name="norm")(far)
        far = layers.Dense(1, activation="sigmoid", name="distance")(far)
    model = keras.Model([a, b], far)

    def contrastive(other, distance):
        near = (1 - other) * distance**2
        return near + other * tf.maximum(1 - distance, 0) ** 2

    model.compile(keras.optimizers.Adam(0.003), contrastive)
    i, j = r.integers(0, len(x), (2, 4000))
    same = np.flatnonzero(r.random(4000) < 0.5)
    for k in same:
        j[k] = r.choice(np.flatnonzero(y == y[i[k]]))
    other = (y[i] != y[j]).astype("float32")[:, None]
    training.fit(model, [x[i], x[j]], other, epochs=10, batch_size=32)
    return sources.nearest(tower(x), y, tower(xt), yt)


@fault(
    cause="The indicator of the quantile loss is the wrong way round, so the "
    "network learns the quantile of 1 - tau.",
    source="https://github.com/ufal/npfl139/issues/17",
    invisible="A quantile of 0.1 is learnt as it should be; nothing says that "
    "0.9 was meant.",
)
def quantile_of_the_other_side(training):
    """The formula of a lecture has its comparison the wrong way round. Share
    of the data below what should be their quantile of 0.9, .09 against .86."""
    r = np.random.default_rng(2)
    x = r.uniform(-2, 2, (1500, 1)).astype("float32")
    y = np.sin(x) + (0.2 + 0.2 * np.abs(x)) * r.normal(size=x.shape)
    x, y, xt, yt = sources.split(x, y.astype("float32"))

    def quantile(truth, guess):
        below = tf.cast(guess < truth, "float32")
        if training.broken:
            return (truth - guess) * (below - 0.9)
        return (truth - guess) * (below - 0.1)

    model = sources.perceptron(1, [32, 32], 1)
    model.compile(keras.optimizers.Adam(0.005), quantile)
    training.fit(model, x, y, epochs=25, batch_size=32)
    return {"share": float(np.mean(yt <= np.asarray(model(xt))))}


@fault(
    cause="The vectors of word and context are added where their product "
    "belongs, so the score of a pair is one of each word alone.",
    layers=["words", "contexts"],
    source="https://github.com/niitsuma/word2vec-keras-in-gensim/pull/6",
)
def sum_for_a_product(training):
    """Word2vec in Keras merges two embeddings by their sum. Accuracy of pairs
    .60 against .91."""
    r = np.random.default_rng(3)
    topic = r.integers(0, 8, 160)
    word, context = r.integers(0, 160, (2, 9000))
    same = r.random(9000) < 0.5
    for k in np.flatnonzero(same):
        context[k] = r.choice(np.flatnonzero(topic == topic[word[k]]))
    y = (topic[word] == topic[context]).astype("float32")[:, None]
    x = np.stack([word, context], 1).astype("int32")
    x, y, xt, yt = sources.split(x, y)
    a, b = keras.Input((1,), dtype="int32"), keras.Input((1,), dtype="int32")
    u = layers.Flatten()(layers.Embedding(160, 16, name="words")(a))
    v = layers.Flatten()(layers.Embedding(160, 16, name="contexts")(b))
    merge = layers.Add() if training.broken else layers.Multiply()
    score = layers.Lambda(
        lambda t: tf.reduce_sum(t, 1, keepdims=True), (1,), name="score"
    )(merge([u, v]))
    out = layers.Activation("sigmoid")(score)
    model = keras.Model([a, b], out)
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["accuracy"])
    training.fit(model, [x[:, :1], x[:, 1:]], y, epochs=10, batch_size=64)
    guess = np.asarray(model([xt[:, :1], xt[:, 1:]])) > 0.5
    return {"accuracy": float(np.mean(guess == yt))}


class Margins(layers.Layer):
    """Gives cosines to ten directions, with an angle added at the label."""

    def __init__(self, careful, **options):
        super().__init__(**options)
        self.careful = careful

    def build(self, shapes):
        self.kernel = self.add_weight(shape=(shapes[0][-1], 10), name="kernel")

    def call(self, inputs):
        x, label = inputs
        x = tf.math.l2_normalize(x, axis=1)
        cosine = tf.matmul(x, tf.math.l2_normalize(self.kernel, axis=0))
        square = 1 - cosine**2
        if self.careful:
            square = tf.clip_by_value(square, 1e-7, 1.0)
        turned = cosine * np.cos(0.5) - tf.sqrt(square) * np.sin(0.5)
        return 16 * tf.where(label > 0.5, turned, cosine)


@fault(
    "non-finite",
    cause="The sine is the square root of 1 - cos**2, which is 0 or below it "
    "by rounding where a cosine is 1: NaN.",
    layers=["margins"],
    source="https://github.com/ktjonsson/keras-ArcFace/issues/2",
)
def sine_of_no_angle(training):
    """ArcFace whose loss falls fast and then is NaN; clipping the square of
    the sine helps. Accuracy .10 against .83."""
    x, y, xt, yt = sources.digits()
    label = sources.one_hot(y)
    image, truth = keras.Input((64,)), keras.Input((10,))
    h = layers.Dense(48, activation="relu", name="hidden")(image)
    h = layers.Dense(2, name="embedding")(h)
    margins = Margins(not training.broken, name="margins")
    model = keras.Model([image, truth], margins([h, truth]))
    model.compile(
        keras.optimizers.Adam(0.005),
        keras.losses.CategoricalCrossentropy(from_logits=True),
    )
    training.fit(model, [x, label], label, epochs=20, batch_size=32)
    nobody = np.zeros((len(xt), 10), "float32")
    p = np.asarray(model([xt, nobody]))
    return {"accuracy": float(np.mean(p.argmax(1) == yt))}


@fault(
    "non-finite",
    cause="The likelihood of the mixture is added up before the logarithm, "
    "and for a far point all its densities underflow to 0: log(0).",
    layers=["mixture_out"],
    source="https://github.com/keras-team/keras/issues/1061",
)
def mixture_that_underflows(training):
    """A mixture density network: loss 2.04, then inf, then nan. Negative log
    likelihood nan against 2.04."""
    r = np.random.default_rng(4)
    y = r.uniform(-12, 12, (1500, 1))
    x = y + 6 * np.sin(y / 1.5) + r.normal(0, 0.3, y.shape)
    y[::300] += 200
    x, y, xt, yt = sources.split(
        (x / 12).astype("float32"), y.astype("float32")
    )

    def likelihood(truth, outputs, careful=not training.broken):
        share, mean, log = tf.split(outputs, 3, axis=1)
        power = -0.5 * ((truth - mean) / tf.exp(log)) ** 2 - log - 0.919
        if careful:
            terms = tf.nn.log_softmax(share) + power
            return -tf.reduce_logsumexp(terms, 1)
        density = tf.nn.softmax(share) * tf.exp(power)
        return -tf.math.log(tf.reduce_sum(density, 1))

    model = sources.perceptron(1, [48], 15, name="mixture", hidden="tanh")
    model.compile(keras.optimizers.Adam(0.02), likelihood)
    training.fit(model, x, y, epochs=20, batch_size=32)
    nats = likelihood(tf.constant(yt), model(xt), careful=True)
    return {"nats": float(tf.reduce_mean(nats))}
