"""Optimizers, rates, and loops of one's own."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind3 import sources
from benchmarks.diagnosis.case import fault


@fault(
    cause="What counts as better is a loss lower by .3, so the rate is cut "
    "to a fifth every other epoch although the loss falls all the time.",
    layers=["optimizer"],
    source="https://github.com/keras-team/keras/issues/10924",
)
def better_by_too_much(training):
    """`ReduceLROnPlateau` with a `min_delta` that steady progress does not
    reach. Explained share .64 against .87."""
    x, y, xt, yt = sources.readings()
    model = sources.perceptron(12, [64, 64], 1)
    model.compile(keras.optimizers.Adam(0.0005), "mse")
    delta = 0.3 if training.broken else 0.0001
    cut = keras.callbacks.ReduceLROnPlateau(
        "loss", factor=0.2, patience=1, min_delta=delta
    )
    training.fit(model, x, y, epochs=40, batch_size=32, callbacks=[cut])
    return sources.explained(yt, model(xt))


@fault(
    cause="The direction of a metric of one's own cannot be told by its name "
    "and is taken for down, so each better epoch counts as a worse one.",
    layers=["optimizer"],
    source="https://github.com/keras-team/keras/issues/11964",
)
def score_that_should_fall(training):
    """`ReduceLROnPlateau` watches an F1 score with the mode it once took
    itself. Loss .47 against .20."""
    x, y, xt, yt = sources.cancer()

    def f1(truth, guess):
        guess = tf.round(guess)
        both = tf.reduce_sum(truth * guess)
        return 2 * both / (tf.reduce_sum(truth + guess) + 1e-7)

    model = sources.perceptron(30, [16], 1, "sigmoid")
    model.compile(
        keras.optimizers.SGD(0.01), "binary_crossentropy", metrics=[f1]
    )
    mode = "min" if training.broken else "max"
    cut = keras.callbacks.ReduceLROnPlateau(
        "val_f1", factor=0.3, patience=1, mode=mode
    )
    history = training.fit(
        model,
        x,
        y,
        epochs=20,
        batch_size=16,
        validation_data=(xt, yt),
        callbacks=[cut],
    ).history
    return {"loss": history["val_loss"][-1]}


@fault(
    cause="`compile` with a new optimizer is called for each epoch of a few "
    "steps, so Adam never has any moments to go by.",
    layers=["optimizer"],
    source="https://github.com/pythoncymetric/cymetric/pull/4",
)
def compiled_for_each_epoch(training):
    """A helper trains epoch after epoch, compiling anew each time; a callback
    that empties the optimizer stands for it. Loss .15 against .01."""
    x, y, _, _ = sources.readings()
    x, y = x[:128], y[:128]
    model = sources.perceptron(12, [48, 48], 1)
    optimizer = keras.optimizers.Adam(0.01)

    def forget(epoch, logs=None):
        for v in optimizer.variables[2:]:
            v.assign(tf.zeros_like(v))
        optimizer.iterations.assign(0)

    anew = keras.callbacks.LambdaCallback(on_epoch_begin=forget)
    model.compile(optimizer, "mse")
    calls = [anew] if training.broken else []
    training.fit(model, x, y, epochs=60, batch_size=64, callbacks=calls)
    return {"loss": model.evaluate(x, y, verbose=0)}


class Made(keras.Model):
    """A network that makes its hidden layer when it is called, or before."""

    def __init__(self, late, **options):
        super().__init__(**options)
        self.late = late
        self.hidden = layers.Dense(48, activation="relu", name="hidden")
        self.out = layers.Dense(10, activation="softmax", name="out")

    def call(self, x):
        hidden = self.hidden
        if self.late:
            hidden = layers.Dense(48, activation="relu")
        return self.out(hidden(x))


@fault(
    cause="The hidden layer is made inside of `call`, so there is a new one "
    "with new weights in each step and none is trained.",
    layers=["hidden"],
    source="https://github.com/koshian2/OctConv-TFKeras/issues/16",
)
def layer_made_in_each_call(training):
    """A layer that creates its convolution in `call` runs eagerly only, and
    does not get better. Accuracy .18 against .92."""
    x, y, xt, yt = sources.digits()
    model = Made(training.broken, name="made")
    model.compile(
        keras.optimizers.Adam(0.005), sources.SPARSE, run_eagerly=True
    )
    training.fit(model, x, y, epochs=3, batch_size=32)
    return sources.accuracy(model, xt, yt)


@fault(
    cause="The loop takes the gradient of the data's loss alone and leaves "
    "out `model.losses`, so the penalty of the activity does nothing.",
    layers=["code"],
    source="https://github.com/tensorflow/tensorflow/issues/33219",
)
def penalties_that_the_loop_forgets(training):
    """An `activity_regularizer` that has no effect, however large, in a loop
    with a tape: a code that is to be sparse. Share of it that is not 0 .60
    against .30."""
    x, _, xt, _ = sources.digits()
    penalty = keras.regularizers.L1(0.1)
    inputs = keras.Input((64,))
    code = layers.Dense(
        96, activation="relu", activity_regularizer=penalty, name="code"
    )(inputs)
    model = keras.Model(inputs, layers.Dense(64, name="decoder")(code))
    optimizer = training.wrap(keras.optimizers.Adam(0.003), model=model)

    @tf.function
    def step(images):
        with tf.GradientTape() as tape:
            guess = model(images, training=True)
            loss = tf.reduce_mean(tf.reduce_sum((images - guess) ** 2, 1))
            if not training.broken:
                loss += tf.add_n(model.losses)
        sources.descend(optimizer, tape, loss, model.trainable_variables)

    for images, _ in sources.batches(x, x, 64, 40):
        step(tf.constant(images))
    active = np.asarray(keras.Model(inputs, code)(xt)) > 0.01
    return {"active": float(active.mean())}


@fault(
    cause="The loss is multiplied by a fixed 2**15 in float16, where nothing "
    "is above 65504, so the loss and the gradients of labels that are "
    "unlikely are infinite.",
    layers=["loss"],
    source="https://github.com/keras-team/keras/issues/16552",
)
def scaled_beyond_half(training):
    """Mixed precision in a loop of one's own: the loss of the float16 outputs
    is scaled by hand, and is inf or nan. Accuracy .10 against .93."""
    x, y, xt, yt = sources.digits()
    label = sources.one_hot(y)
    with sources.policy("mixed_float16"):
        model = sources.perceptron(64, [48], 10, "softmax")
    optimizer = training.wrap(keras.optimizers.Adam(0.003), model=model)
    kind = "float16" if training.broken else "float32"
    scale = 2.0**15 if training.broken else 2.0**6

    @tf.function
    def step(a, b):
        with tf.GradientTape() as tape:
            p = tf.cast(model(a), kind) + tf.cast(1e-4, kind)
            log = tf.math.log(p) * tf.cast(b, kind)
            loss = -tf.reduce_mean(tf.reduce_sum(log, 1))
            scaled = loss * tf.cast(scale, kind)
        weights = model.trainable_variables
        grads = [g / scale for g in tape.gradient(scaled, weights)]
        optimizer.apply_gradients(zip(grads, weights, strict=True))

    for a, b in sources.batches(x, label, 32, 8):
        step(tf.constant(a), tf.constant(b))
    return sources.accuracy(model, xt, yt)


@fault(
    cause="`clipnorm` is a setting of an optimizer method that the loop does "
    "not call, so no gradient is clipped.",
    layers=["optimizer"],
    source="https://github.com/microsoft/tf2-gnn/pull/23",
)
def clipping_that_nobody_calls(training):
    """Clipping is a setting of the model, and the gradients go past it: some
    targets are far out. Explained share of the others nan against .72."""
    x, y, xt, yt = sources.readings()
    r = np.random.default_rng(16)
    y = np.where(r.random(y.shape) < 0.02, 300 * np.sign(y), y)
    y = y.astype("float32")
    model = sources.perceptron(12, [48, 48], 1)
    optimizer = training.wrap(keras.optimizers.SGD(0.02, 0.9), model=model)

    @tf.function
    def step(a, b):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(a) - b) ** 2)
        weights = model.trainable_variables
        grads = tape.gradient(loss, weights)
        if not training.broken:
            grads, _ = tf.clip_by_global_norm(grads, 1.0)
        optimizer.apply_gradients(zip(grads, weights, strict=True))

    for a, b in sources.batches(x, y, 32, 40):
        step(tf.constant(a), tf.constant(b))
    return sources.explained(yt, model(xt))


@fault(
    cause="The loop waits for a loss above the best one, so each better epoch "
    "counts as one without progress and training ends after a few.",
    layers=["callbacks"],
    source="https://github.com/tensorflow/tensorflow/issues/59056",
)
def stopped_while_it_falls(training):
    """Early stopping in a loop of one's own, as in a guide: the comparison is
    for a score and the number is a loss. Explained share .74 against .88."""
    x, y, xt, yt = sources.readings()
    model = sources.perceptron(12, [64, 64], 1)
    optimizer = training.wrap(keras.optimizers.Adam(0.0005), model=model)

    @tf.function
    def step(a, b):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(a) - b) ** 2)
        sources.descend(optimizer, tape, loss, model.trainable_variables)

    best, wait = (0.0 if training.broken else np.inf), 0
    for epoch in range(60):
        for a, b in sources.batches(x, y, 32, 1, epoch):
            step(tf.constant(a), tf.constant(b))
        loss = float(np.mean((np.asarray(model(xt)) - yt) ** 2))
        wait += 1
        if loss > best if training.broken else loss < best:
            best, wait = loss, 0
        if wait >= 4:
            break
    return sources.explained(yt, model(xt))


class Compressed(layers.Layer):
    """Takes a power of what is above 0 and keeps the rest."""

    def __init__(self, careful, **options):
        super().__init__(**options)
        self.careful = careful

    def call(self, x):
        inside = tf.where(x > 0, x, 1.0) if self.careful else x
        return tf.where(x > 0, tf.pow(inside + 1e-6, 0.6), x)


@fault(
    cause="`tf.where` chooses the branch, and the gradient still passes the "
    "power of the negative numbers that was not chosen: nan.",
    layers=["compressed"],
    source="https://github.com/tensorflow/tensorflow/issues/38349",
)
def power_that_was_not_chosen(training):
    """An activation of two branches whose outputs are right and whose
    gradients are nan. Accuracy .10 against .93."""
    x, y, xt, yt = sources.digits()
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(48, name="hidden"),
            Compressed(not training.broken, name="compressed"),
            layers.Dense(10, activation="softmax", name="out"),
        ]
    )
    training.fit(sources.classifier(model), x, y, epochs=6, batch_size=32)
    return sources.accuracy(model, xt, yt)
