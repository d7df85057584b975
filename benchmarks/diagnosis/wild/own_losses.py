"""Losses of one's own for classes.

Sources, one for each case:
keras-team/keras #8993 (the arguments of a cross-entropy, swapped);
HeyLynne/FocalLoss_for_multiclass #3 (a logarithm for a probability);
fudannlp16/focal-loss #8 (a product for a power);
MccreeZhao/FR-Loss-on-Mnist #2 (cosines without their scale);
xudonmao/VMT #1 (mixup with two permutations);
keras-team/keras-io #869 (distillation without the square of T);
TropComplique/knowledge-distillation-keras #2 is the same.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.report import sources
from benchmarks.diagnosis.wild import tools


@fault(
    "nothing-learned",
    cause="the labels are given as the predictions and the predictions as "
    "the labels, so the cross-entropy is linear in what the network says",
    layers=["out"],
    source="keras-team/keras #8993",
)
def swapped_arguments(training):
    """As posted: "The loss is much higher" and there are no "expected
    results": a smoothed loss with `K.categorical_crossentropy(y_pred,
    y_true)`, which is linear in the predictions. Accuracy .09 against .96."""
    x, y, xt, yt = sources.digits()

    def smoothed(labels, predictions):
        def entropy(target):
            pair = (target, predictions)
            if training.broken:
                pair = pair[::-1]
            return ops.categorical_crossentropy(*pair)

        even = ops.ones_like(predictions) / 10
        return 0.9 * entropy(labels) + 0.1 * entropy(even)

    model = tools.perceptron(64, [64, 64], 10, "softmax")
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), smoothed)
    training.fit(model, x, sources.one_hot(y), epochs=15, batch_size=32)
    return sources.accuracy(model, xt, yt)


def few_of_a_class(x, y, share=0.06):
    """Returns the data with labels "is a 3", and few of those."""
    r = np.random.default_rng(0)
    chosen = (y != 3) | (r.random(len(y)) < share * 5)
    return x[chosen], (y[chosen] == 3).astype("float32")[:, None]


@fault(
    "loss-diverges",
    "non-finite",
    cause="the factor of the focal loss is computed from the logarithm of "
    "the probability, which makes it grow without bound",
    layers=["out"],
    source="HeyLynne/FocalLoss_for_multiclass #3",
)
def focal_logarithm(training):
    """As posted: "When I use log probability I get Nan loss": `pt` is `label *
    log_p` where it should be `label * p`. Accuracy .10 against .92, loss not a
    number against .22."""
    x, y, xt, yt = sources.digits()

    def focal(labels, logits):
        log = ops.log_softmax(logits)
        rest = 1 - (log if training.broken else ops.exp(log))
        return -ops.sum(labels * rest**2 * log, -1)

    model = tools.perceptron(64, [64], 10)
    model.compile(keras.optimizers.SGD(0.3, momentum=0.9), focal)
    training.fit(model, x, sources.one_hot(y), epochs=12, batch_size=32)
    return tools.shares(model, xt, yt)


@fault(
    cause="the focal factor is gamma times (1 - p) and not its power, so "
    "easy samples weigh more than they should",
    layers=["out"],
    source="fudannlp16/focal-loss #8",
    harmless=True,
)
def focal_product(training):
    """As posted: "Should it not be a power?": `(1 - alpha) * ((1 - y_pred) *
    gamma)` in the focal loss where `**` was meant. It does no harm. Accuracy
    .98 against .98."""
    x, y, xt, yt = sources.digits()
    x, y = few_of_a_class(x, y)

    def focal(labels, p):
        p = ops.clip(p, 1e-6, 1 - 1e-6)
        far = labels * (1 - p) + (1 - labels) * p
        factor = far * 2 if training.broken else far**2
        error = labels * ops.log(p) + (1 - labels) * ops.log(1 - p)
        return -ops.mean(factor * error, -1)

    model = tools.perceptron(64, [32], 1, "sigmoid")
    model.compile(keras.optimizers.Adam(0.005), focal)
    training.fit(model, x, y, epochs=15, batch_size=32)
    return sources.accuracy(model, xt, (yt == 3).astype("float32")[:, None])


class Cosines(layers.Layer):
    """Cosines between an embedding and a direction of each class."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 10), name="kernel")

    def call(self, x):
        axis = ops.normalize(self.kernel, axis=0)
        return ops.normalize(x, axis=-1) @ axis


@fault(
    "output-range",
    cause="the cross-entropy gets the cosines themselves, from -1 to 1, and "
    "not those with the margin and the scale",
    layers=["cosines"],
    source="MccreeZhao/FR-Loss-on-Mnist #2",
)
def cosines_without_scale(training):
    """As posted: "cross_entropy(cosine, label) should be cross_entropy(output,
    label)": the loss of ArcFace gets bare cosines and cannot fall below 1.5,
    which does the classes no harm. Accuracy .94 against .93, loss .39 against
    .27."""
    x, y, xt, yt = sources.digits()
    scale, margin = 16.0, 0.2

    def arcface(labels, cosine):
        cosine = ops.clip(cosine, -0.999, 0.999)
        wide = ops.cos(ops.arccos(cosine) + margin)
        output = scale * ops.where(labels > 0, wide, cosine)
        chosen = cosine if training.broken else output
        return ops.categorical_crossentropy(labels, chosen, from_logits=True)

    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(64, activation="relu", name="hidden"),
            layers.Dense(16, name="embedding"),
            Cosines(name="cosines"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), arcface)
    training.fit(model, x, sources.one_hot(y), epochs=10, batch_size=32)

    def probabilities(images, training):
        return scale * model(images, training=training)

    return tools.shares(probabilities, xt, yt)


@fault(
    cause="mixup shuffles the pictures and the labels with two permutations, "
    "so half of each label belongs to another picture",
    source="xudonmao/VMT #1",
)
def mixed_with_two_permutations(training):
    """As posted: "Mixup returns different combinations for labels and images":
    two shuffles where the same one is due, so that a part of each label is
    wrong. Accuracy .94 against .94, loss .78 against .25."""
    x, y, xt, yt = sources.digits()
    model = tools.perceptron(64, [64, 64], 10)
    optimizer = training.wrap(keras.optimizers.Adam(0.002), model=model)
    r = np.random.default_rng(0)
    entropy = keras.losses.CategoricalCrossentropy(from_logits=True)
    step = tools.minimise(model, optimizer, entropy)
    for a, b in sources.batches(x, sources.one_hot(y), 32, 15):
        order = other = r.permutation(32)
        if training.broken:
            other = r.permutation(32)
        part = r.beta(1, 1, (32, 1)).astype("float32")
        a = part * a + (1 - part) * a[order]
        b = part * b + (1 - part) * b[other]
        step(tf.constant(a), tf.constant(b))
    return tools.shares(model, xt, yt)


@fault(
    cause="the loss between softened outputs lacks the square of the "
    "temperature, so it hardly counts next to the labels' loss",
    source="keras-team/keras-io #869",
)
def distilled_without_the_square(training):
    """As posted: "It is important to multiply them by T^2": without it a
    student with twenty labels and many pictures learns next to nothing from
    its teacher. Accuracy .58 against .94."""
    x, y, xt, yt = sources.digits()
    teacher = tools.perceptron(64, [64], 10, name="teacher")
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    teacher.compile("adam", entropy)
    teacher.fit(x, y, epochs=20, batch_size=32, verbose=0)
    soft = tf.nn.softmax(teacher(x) / 10).numpy()
    known = np.random.default_rng(0).permutation(len(x))[:20]
    student = tools.perceptron(64, [32], 10, name="student")
    optimizer = training.wrap(keras.optimizers.SGD(0.1), model=student)
    divergence = keras.losses.KLDivergence()
    factor = 1.0 if training.broken else 10.0**2

    @tf.function
    def step(a, b):
        with tf.GradientTape() as tape:
            hard = entropy(y[known], student(x[known], training=True))
            logits = student(a, training=True)
            loss = divergence(b, tf.nn.softmax(logits / 10)) * factor
            loss = 0.1 * hard + 0.9 * loss
        weights = student.trainable_variables
        optimizer.apply(tape.gradient(loss, weights), weights)

    for a, b in sources.batches(x, soft, 32, 15):
        step(tf.constant(a), tf.constant(b))
    return sources.accuracy(student, xt, yt)
