"""Loops of one's own.

Sources, one for each case:
tensorflow/tensorflow #28901 (labels without an axis);
deepinsight/insightface #2258 (accumulation without a division);
michalfaber/tensorflow_Realtime_Multi-Person_Pose_Estimation #13 (`training`);
mead-ml/mead-baseline #368 (gradients of other variables);
tensorflow/tensorflow #36715 (noise drawn once).
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis import data
from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.report import sources
from benchmarks.diagnosis.wild import tools


@fault(
    "loss-metric-disagree",
    cause="labels [batch] less predictions [batch, 1] are [batch, batch], so "
    "each prediction is pulled to the mean of the labels",
    layers=["out"],
    source="tensorflow/tensorflow #28901",
)
def labels_without_an_axis(training):
    """As posted: "Model not converging when trained with custom training
    loop", while `fit` does. The difference of labels [batch] and predictions
    [batch, 1] is broadcast, so the mean is learnt. R2 .06 against .49."""
    x, y, xt, yt = sources.split(*data.diabetes())
    m, s = y.mean(), y.std()
    y = (y - m) / s
    model = tools.perceptron(10, [32, 32], 1)
    optimizer = training.wrap(keras.optimizers.Adam(0.003), model=model)

    def loss(labels, predictions):
        if not training.broken:
            labels = labels[:, tf.newaxis]
        return tf.reduce_mean(tf.square(labels - predictions))

    step = tools.minimise(model, optimizer, loss)
    for a, b in sources.batches(x, y, 16, 30):
        step(tf.constant(a), tf.constant(b))
    return sources.r2(model, xt, yt, s, m)


@fault(
    "learning-rate",
    "update-too-large",
    cause="the gradients of eight small batches are added up and never "
    "divided by eight, which makes the rate eight times what was meant",
    source="deepinsight/insightface #2258",
)
def accumulated_and_not_divided(training):
    """As posted: "Dividing by gradient_acc is missing": the rate that suits a
    mean of eight batches is too high for their sum. Accuracy .09 against
    .96."""
    x, y, xt, yt = sources.digits()
    model = tools.perceptron(64, [64, 64], 10)
    optimizer = training.wrap(
        keras.optimizers.SGD(0.15, momentum=0.9), model=model
    )
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def gradients(a, b):
        with tf.GradientTape() as tape:
            loss = entropy(b, model(a, training=True))
        return tape.gradient(loss, model.trainable_variables)

    total = None
    share = 1.0 if training.broken else 1 / 8
    for i, (a, b) in enumerate(sources.batches(x, y, 8, 15), 1):
        new = gradients(tf.constant(a), tf.constant(b))
        new = [g * share for g in new]
        total = new if total is None else map(tf.add, total, new)
        total = list(total)
        if i % 8 == 0:
            optimizer.apply(total, model.trainable_variables)
            total = None
    return sources.accuracy(model, xt, yt)


@fault(
    "inference-mode",
    "batchnorm-statistics",
    cause="the loop calls the model without training=True, so batch "
    "normalisation uses its initial statistics and never updates them",
    layers=["norm_1", "norm_2", "norm_3"],
    source="michalfaber/tensorflow_Realtime_Multi-Person_Pose_Estimation #13",
)
def statistics_that_stay(training):
    """As posted: "Moving mean and variance are not being updated", "the main
    factor of the instability": without training=True pictures from 0 to 255 go
    through unnormalised. Accuracy .10 against .86."""
    x, y, xt, yt = sources.digit_images()
    x, xt = x * 255, xt * 255
    model = keras.Sequential([keras.Input((8, 8, 1))])
    for i in range(1, 4):
        model.add(layers.Conv2D(16, 3, padding="same", name=f"conv_{i}"))
        model.add(layers.BatchNormalization(momentum=0.9, name=f"norm_{i}"))
        model.add(layers.ReLU())
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(10, name="out"))
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = training.wrap(keras.optimizers.SGD(0.05), model=model)
    mode = {} if training.broken else {"training": True}

    @tf.function
    def step(a, b):
        with tf.GradientTape() as tape:
            loss = entropy(b, model(a, **mode))
        weights = model.trainable_variables
        optimizer.apply(tape.gradient(loss, weights), weights)

    for a, b in sources.batches(x, y, 32, 15):
        step(tf.constant(a), tf.constant(b))
    return sources.accuracy(model, xt, yt)


@fault(
    "loss-diverges",
    cause="gradients of the trainable variables are zipped with all the "
    "variables, so each layer after the frozen one gets its successor's",
    layers=["frozen", "hidden_1", "hidden_2", "hidden_3"],
    source="mead-ml/mead-baseline #368",
)
def gradients_of_the_next_layer(training):
    """As posted: "Grads and variables could get unaligned": a frozen layer in
    front of layers of one width moves every gradient by a layer when they are
    zipped with `model.variables`. Accuracy .11 against .96."""
    x, y, xt, yt = sources.digits()
    codes = np.random.default_rng(0).choice([-1.0, 1.0], (64, 10)) / 8
    codes = codes.astype("float32")
    model = keras.Sequential([keras.Input((64,))])
    model.add(layers.Dense(64, name="frozen", trainable=False))
    for i in range(1, 4):
        model.add(layers.Dense(64, activation="relu", name=f"hidden_{i}"))
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = training.wrap(keras.optimizers.Adam(0.003), model=model)

    @tf.function
    def step(a, b):
        with tf.GradientTape() as tape:
            loss = entropy(b, model(a, training=True) @ codes)
        weights = model.trainable_variables
        gradients = tape.gradient(loss, weights)
        if training.broken:
            weights = model.variables
        optimizer.apply_gradients(zip(gradients, weights, strict=False))

    for a, b in sources.batches(x, y, 32, 15):
        step(tf.constant(a), tf.constant(b))
    guess = (model(xt).numpy() @ codes).argmax(1)
    return {"accuracy": float(np.mean(guess == yt))}


@fault(
    cause="the noise is a tensor that was drawn once, before the steps, so "
    "the network learns to subtract that very noise",
    source="tensorflow/tensorflow #36715",
)
def noise_drawn_once(training):
    """As posted: "tf.random.normal() has a fixed value": pictures are denoised
    well in training, and those with other noise are not, since the noise was
    drawn before the steps. R2 .30 against .81."""
    x, _, xt, _ = sources.digits()
    model = tools.perceptron(64, [128, 64], 64)
    optimizer = training.wrap(keras.optimizers.Adam(0.002), model=model)
    fixed = tf.random.normal([32, 64], 0, 0.4, seed=1)

    @tf.function
    def step(clean):
        noise = fixed
        if not training.broken:
            noise = tf.random.normal([32, 64], 0, 0.4)
        with tf.GradientTape() as tape:
            made = model(clean + noise, training=True)
            loss = tf.reduce_mean(tf.square(made - clean))
        weights = model.trainable_variables
        optimizer.apply(tape.gradient(loss, weights), weights)

    for a, _ in sources.batches(x, x, 32, 40):
        step(tf.constant(a))
    noise = np.random.default_rng(3).normal(0, 0.4, xt.shape)
    return sources.r2(model, (xt + noise).astype("float32"), xt)
