"""Dropout, penalties and batch normalisation.

Sources, one for each case:
wsjeon92/FP2VEC #2 and hunkim/DeepLearningZeroToAll #204 (keep_prob as rate);
tutel.me 53654360 "Exercise 4 by Andrew Ng in Keras" (StackOverflow; l2(1));
keras #3383 (VAE: mean over pixels against sum over the code);
keras #7005, #6599 (batch norm: fits in training, fails in evaluation);
tensorflow #32864 (gradient tape without training=True);
cs231n, dropout: masks without scaling; keras #12400 (the branch that is
missing in inference);
carpedm20/DCGAN-tensorflow #266 (batch norm of real and fake batches).
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.report import sources


@fault(
    "dropout-keep-prob",
    layers=["drop_1", "drop_2"],
    source="wsjeon92/FP2VEC #2",
)
def kept_as_rate(training):
    """keep_prob=0.9 of TF1 became Dropout(0.9). Accuracy .19 against .94."""
    x, y, xt, yt = sources.digit_images()
    rate = 0.9 if training.broken else 0.1
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, activation="relu", name="conv"),
            layers.Flatten(),
            layers.Dropout(rate, name="drop_1"),
            layers.Dense(64, activation="relu", name="hidden"),
            layers.Dropout(rate, name="drop_2"),
            layers.Dense(10, activation="softmax", name="out"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.05),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(model, x, y, epochs=8, batch_size=32)
    return sources.accuracy(model, xt, yt)


@fault(
    "penalty-dominates",
    layers=["hidden", "out"],
    source="tutel.me 53654360",
)
def ngs_lambda(training):
    """kernel_regularizer=l2(1): the course divides its lambda by the number of
    examples, Keras does not. Accuracy .11 against .94."""
    x, y, xt, yt = sources.digits()
    penalty = keras.regularizers.L2(1.0 if training.broken else 1 / 5000)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(
                25,
                activation="sigmoid",
                kernel_regularizer=penalty,
                name="hidden",
            ),
            layers.Dense(
                10,
                activation="softmax",
                kernel_regularizer=penalty,
                name="out",
            ),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9),
        "categorical_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(model, x, sources.one_hot(y), epochs=10, batch_size=32)
    return sources.accuracy(model, xt, yt)


class Sampling(layers.Layer):
    """Draws a code, and adds its divergence to the loss."""

    def __init__(self, weight, **options):
        super().__init__(**options)
        self.weight = weight

    def call(self, inputs, training=False):
        mean, spread = inputs
        kl = 1 + spread - mean**2 - tf.exp(spread)
        self.add_loss(-0.5 * self.weight * tf.reduce_mean(tf.reduce_sum(kl, 1)))
        if not training:
            return mean
        return mean + tf.exp(spread / 2) * tf.random.normal(tf.shape(mean))


@fault("penalty-dominates", layers=["sampling"], source="keras #3383")
def divergence_of_a_sum(training):
    """The pixels' cross-entropy is a mean, the divergence a sum: the code says
    nothing. R2 -.01 against .46."""
    x, _, xt, _ = sources.digits()
    weight = 1.0 if training.broken else 1 / 64
    inputs = keras.Input((64,))
    h = layers.Dense(48, activation="relu", name="encode")(inputs)
    code = Sampling(weight, name="sampling")(
        [layers.Dense(4, name="mean")(h), layers.Dense(4, name="spread")(h)]
    )
    h = layers.Dense(48, activation="relu", name="decode")(code)
    out = layers.Dense(64, activation="sigmoid", name="pixels")(h)
    model = keras.Model(inputs, out)
    model.compile(keras.optimizers.Adam(0.003), "binary_crossentropy")
    training.fit(model, x, x, epochs=15, batch_size=32)
    error = np.asarray(model(xt, training=False)) - xt
    return {"r2": float(1 - np.mean(error**2) / np.mean(xt.var(axis=0)))}


@fault(
    "batchnorm-statistics",
    "train-inference-mismatch",
    layers=["bn_1", "bn_2"],
    source="keras #7005, #6599",
)
def few_steps_of_slow_averages(training):
    """Batches of 256 and 8 epochs: 40 steps for averages of 100. Accuracy .71
    against .96."""
    x, y, xt, yt = sources.digit_images()
    momentum = 0.99 if training.broken else 0.8
    model = keras.Sequential([keras.Input((8, 8, 1))])
    for i in (1, 2):
        model.add(layers.Conv2D(16 * i, 3, padding="same", name=f"conv_{i}"))
        model.add(layers.BatchNormalization(momentum=momentum, name=f"bn_{i}"))
        model.add(layers.Activation("relu"))
    model.add(layers.MaxPooling2D(2))
    model.add(layers.Flatten())
    model.add(layers.Dense(10, activation="softmax", name="out"))
    model.compile(
        keras.optimizers.Adam(0.003),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(
        model, x, y, epochs=8, batch_size=256, validation_data=(xt, yt)
    )
    return sources.accuracy(model, xt, yt)


@fault(
    "batchnorm-statistics",
    "unscaled-input",
    layers=["bn_in", "bn_1"],
    source="tensorflow #32864",
)
def tape_without_training(training):
    """A loop of one's own calls the model without training=True: the batch
    norm that was to scale the raw table does nothing. Accuracy .38 against
    .97."""
    x, y, xt, yt = sources.cancer(scaled=False)
    model = keras.Sequential(
        [
            keras.Input((30,)),
            layers.BatchNormalization(momentum=0.9, name="bn_in"),
            layers.Dense(32, use_bias=False, name="fc1"),
            layers.BatchNormalization(momentum=0.9, name="bn_1"),
            layers.Activation("relu"),
            layers.Dense(1, name="logit"),
        ]
    )
    optimizer = training.wrap(keras.optimizers.SGD(0.01), model=model)

    @tf.function
    def step(rows, labels):
        with tf.GradientTape() as tape:
            logit = (
                model(rows) if training.broken else model(rows, training=True)
            )
            loss = tf.reduce_mean(
                tf.nn.sigmoid_cross_entropy_with_logits(labels, logit)
            )
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(
            zip(gradients, model.trainable_variables, strict=True)
        )

    for rows, labels in sources.batches(x, y, 32, 20):
        step(rows, labels)
    right = (np.asarray(model(xt, training=False)) > 0) == (yt > 0.5)
    return {"accuracy": float(right.mean())}


class Thinning(layers.Layer):
    """Dropout by hand, with or without its scaling."""

    def __init__(self, keep, scaled, **options):
        super().__init__(**options)
        self.keep, self.scaled = keep, scaled

    def call(self, x, training=False):
        if not training:
            return x
        mask = tf.cast(tf.random.uniform(tf.shape(x)) < self.keep, x.dtype)
        return x * mask / self.keep if self.scaled else x * mask


@fault(
    "train-inference-mismatch",
    layers=["thin_1", "thin_2"],
    source="cs231n: dropout that is not inverted",
)
def dropout_by_hand(training):
    """A mask without division: predictions come out four times too large. R2
    -12.83 against .91."""
    x, y, xt, yt = sources.split(*sources.houses())
    m, s = x.mean(0), x.std(0)
    h = inputs = keras.Input((6,))
    for i in (1, 2):
        h = layers.Dense(64, activation="relu", name=f"fc{i}")(h)
        h = Thinning(0.5, not training.broken, name=f"thin_{i}")(h)
    model = keras.Model(inputs, layers.Dense(1, name="price")(h))
    model.compile(keras.optimizers.Adam(0.003), "mse")
    training.fit(model, (x - m) / s, y / 2e5, epochs=10, batch_size=32)
    return sources.r2(model, (xt - m) / s, yt, 2e5)


class BatchScaling(layers.Layer):
    """Standardises a batch by itself, perhaps in training only."""

    def __init__(self, always, **options):
        super().__init__(**options)
        self.always = always

    def call(self, x, training=False):
        if training or self.always:
            mean, variance = tf.nn.moments(x, axes=[0])
            return (x - mean) / tf.sqrt(variance + 1e-3)
        return x


@fault(
    "train-inference-mismatch",
    layers=["scaling"],
    source="keras #12400",
)
def scaling_in_training_only(training):
    """A layer standardises the batch while it trains, and forgot the other
    branch. Accuracy .22 against .93."""
    x, y, xt, yt = sources.split(*sources.wine())
    model = keras.Sequential(
        [
            keras.Input((13,)),
            BatchScaling(not training.broken, name="scaling"),
            layers.Dense(32, activation="tanh", name="hidden"),
            layers.Dense(3, activation="softmax", name="out"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.005),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(
        model, x, y, epochs=30, batch_size=16, validation_data=(xt, yt)
    )
    return sources.accuracy(model, xt, yt)


@fault(
    "shared-batchnorm",
    "batchnorm-statistics",
    "train-inference-mismatch",
    layers=["bn_labelled"],
    source="carpedm20/DCGAN-tensorflow #266",
)
def labelled_and_unlabelled_batches(training):
    """Labelled digits and brighter, unlabelled ones pass through the same
    batch norm in turn; the averages fit neither. Accuracy .24 against .95."""
    x, y, xt, yt = sources.digits()
    r = np.random.default_rng(0)
    other = (4 + 6 * x + r.normal(0, 1, x.shape)).astype("float32")
    fc1 = layers.Dense(64, name="fc1")
    fc2 = layers.Dense(10, name="logits")
    bn = layers.BatchNormalization(momentum=0.9, name="bn_labelled")
    other_bn = bn
    if not training.broken:
        other_bn = layers.BatchNormalization(momentum=0.9, name="bn_free")
    image, free = keras.Input((64,)), keras.Input((64,))
    logits = fc2(layers.Activation("relu")(bn(fc1(image))))
    guess = fc2(layers.Activation("relu")(other_bn(fc1(free))))
    model = keras.Model([image, free], [logits, guess])
    optimizer = training.wrap(keras.optimizers.Adam(0.001), model=model)

    @tf.function
    def step(images, labels, others):
        with tf.GradientTape() as tape:
            logits, guess = model([images, others], training=True)
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            )
            p = tf.nn.softmax(guess)
            loss -= 0.1 * tf.reduce_mean(
                tf.reduce_sum(p * tf.math.log(p + 1e-6), axis=1)
            )
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(
            zip(gradients, model.trainable_variables, strict=True)
        )

    for images, labels in sources.batches(x, y, 32, 8):
        step(images, labels, other[r.integers(0, len(other), 32)])
    guess = np.asarray(model([xt, xt], training=False)[0]).argmax(1)
    return {"accuracy": float(np.mean(guess == yt))}
