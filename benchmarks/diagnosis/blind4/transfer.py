"""Networks that start from others."""

from __future__ import annotations

import os
import tempfile
import warnings

import keras
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind4 import sources
from benchmarks.diagnosis.case import fault


def _low_and_high():
    """Digits from 0 to 16: those below 5, and the others less 5, split."""
    x, y, xt, yt = sources.digit_images()
    x, xt = 16 * x, 16 * xt
    low, high = (x[y < 5], y[y < 5]), (x[y > 4], y[y > 4] - 5)
    return low, high, (xt[yt > 4], yt[yt > 4] - 5)


@fault(
    cause="The base divides by the largest value itself and is fed pictures "
    "that were divided before, so its features hardly differ.",
    layers=["data", "base"],
    source="https://github.com/tensorflow/tensorflow/issues/42506",
)
def scaled_for_a_base_that_scales(training):
    """Pictures from 0 to 1, as for other networks, for a base with its own
    rescaling; only a head is trained. Accuracy .31 against .76."""
    low, (x, y), (xt, yt) = _low_and_high()
    base = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Rescaling(1 / 16, name="rescaling"),
            layers.Conv2D(16, 3, name="conv_1"),
            layers.BatchNormalization(name="norm_1"),
            layers.ReLU(),
            layers.Conv2D(32, 3, name="conv_2"),
            layers.BatchNormalization(name="norm_2"),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
        ],
        name="base",
    )
    first = keras.Sequential([base, layers.Dense(5, activation="softmax")])
    sources.classifier(first).fit(*low, epochs=8, batch_size=32, verbose=0)
    base.trainable = False
    inputs = keras.Input((8, 8, 1))
    out = layers.Dense(5, activation="softmax", name="head")(
        base(inputs, training=False)
    )
    model = keras.Model(inputs, out)
    if training.broken:
        x, xt = x / 16, xt / 16
    training.fit(
        sources.classifier(model, 0.01), x, y, epochs=20, batch_size=32
    )
    return sources.accuracy(model, xt, yt)


def _trunk(width, classes):
    model = sources.perceptron(
        64, [width, width, width], classes, "softmax", "layer", "tanh"
    )
    return model


@fault(
    cause="The weights of layers whose shapes differ are skipped when they "
    "are loaded, so the frozen layers are random ones.",
    layers=["layer_1", "layer_2", "layer_3"],
    source="https://github.com/keras-team/keras/pull/8462",
)
def shapes_that_are_skipped(training):
    """`load_weights` with `skip_mismatch`, which was meant for the head alone,
    of a network that is a little narrower. Accuracy .52 against .95."""
    x, y, xt, yt = sources.digits()
    old = _trunk(16, 10)
    sources.classifier(old, 0.005).fit(x, y, epochs=15, verbose=0)
    width = 14 if training.broken else 16
    model = _trunk(width, 5)
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "old.weights.h5")
        old.save_weights(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.load_weights(path, skip_mismatch=True)
    for layer in model.layers[:-1]:
        layer.trainable = False
    training.fit(
        sources.classifier(model, 0.01), x, y // 2, epochs=15, batch_size=32
    )
    return sources.accuracy(model, xt, yt // 2)


class Distiller(keras.Model):
    """Trains a student to answer as a teacher does."""

    def __init__(self, student, teacher, **options):
        super().__init__(**options)
        self.student, self.teacher = student, teacher

    def call(self, x):
        return self.student(x)

    def train_step(self, data):
        x, y = data
        soft = tf.nn.softmax(self.teacher(x, training=False) / 3)
        with tf.GradientTape() as tape:
            logits = self.student(x, training=True)
            hard = keras.losses.sparse_categorical_crossentropy(
                y, logits, from_logits=True
            )
            near = keras.losses.categorical_crossentropy(
                soft, logits / 3, from_logits=True
            )
            loss = tf.reduce_mean(0.1 * hard + 0.9 * 9 * near)
        weights = self.student.trainable_variables
        pairs = zip(tape.gradient(loss, weights), weights, strict=True)
        self.optimizer.apply_gradients(pairs)
        return {"loss": loss}


@fault(
    cause="The two networks are swapped when they are handed over: the large "
    "trained teacher is taught by the small random student, which itself is "
    "not trained.",
    layers=["student_1", "student_out", "code"],
    source="https://github.com/keras-team/keras-io/issues/257",
)
def teacher_taught_by_its_student(training):
    """Distillation. Accuracy .06 against .92."""
    x, y, xt, yt = sources.digits()
    teacher = sources.perceptron(64, [128, 128], 10, name="teacher")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    teacher.compile(keras.optimizers.Adam(0.002), loss)
    teacher.fit(x, y, epochs=8, batch_size=32, verbose=0)
    student = sources.perceptron(64, [12], 10, name="student")
    both = (teacher, student) if training.broken else (student, teacher)
    model = Distiller(*both)
    model.compile(keras.optimizers.Adam(0.003))
    training.fit(model, x, y, epochs=12, batch_size=32)
    return sources.accuracy(student, xt, yt)
