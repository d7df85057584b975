"""A `train_step` of one's own, which `fit` traces once.

Sources, one for each case:
tensorflow/tensorflow #55478, tensorflow/addons #2686 (Python's counter);
keras-team/keras #13826 (a weight of the loss that is traced).
"""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.report import sources
from benchmarks.diagnosis.wild import tools


class SummedLosses(keras.Model):
    """Adds up the losses of four batches before it takes a gradient."""

    def __init__(self, network, steps):
        super().__init__()
        self.network, self.steps = network, steps
        self.count, self.total = 0, 0.0

    def call(self, x):
        return self.network(x)

    def train_step(self, batch):
        x, y = batch
        self.count += 1
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
            self.total += loss / self.steps
        if self.count == self.steps:
            weights = self.trainable_variables
            gradients = tape.gradient(self.total, weights)
            self.optimizer.apply(gradients, weights)
            self.count, self.total = 0, 0.0
        return {"loss": loss}


@fault(
    "no-steps",
    cause="the counter of accumulated batches is Python's, so it counts when "
    "the step is traced, and the branch that applies gradients is never there",
    source="tensorflow/tensorflow #55478",
)
def counter_of_the_trace(training):
    """As posted: "I found that the loss just did not decrease": PyTorch's way
    of accumulation in a `train_step`. Its counter is Python's and counts while
    it is traced, so the optimizer is never called. Accuracy .08 against
    .95."""
    x, y, xt, yt = sources.digits()
    network = tools.perceptron(64, [64], 10, "softmax")
    model, steps = network, 4
    if training.broken:
        model, steps = SummedLosses(network, 4), None
    model.compile(
        keras.optimizers.Adam(0.01, gradient_accumulation_steps=steps),
        "sparse_categorical_crossentropy",
    )
    training.fit(model, x, y, epochs=15, batch_size=16)
    return sources.accuracy(network, xt, yt)


class Annealed(keras.Model):
    """A variational autoencoder whose `beta` a callback raises."""

    def __init__(self, beta):
        super().__init__()
        self.beta = beta
        self.hidden = layers.Dense(64, activation="relu", name="hidden")
        self.moments = layers.Dense(16, name="moments")
        self.decode = layers.Dense(64, activation="relu", name="decode")
        self.pixels = layers.Dense(64, name="pixels")

    def terms(self, x):
        """Returns the error of the pixels and the divergence, summed."""
        mean, log = tf.split(self.moments(self.hidden(x)), 2, axis=1)
        code = mean + tf.exp(log / 2) * tf.random.normal(tf.shape(mean))
        made = self.pixels(self.decode(code))
        error = tf.nn.sigmoid_cross_entropy_with_logits(x, made)
        kl = 0.5 * (tf.exp(log) + mean**2 - 1 - log)
        return [tf.reduce_mean(tf.reduce_sum(e, 1)) for e in (error, kl)]

    def call(self, x):
        return self.terms(x)[0]

    def train_step(self, x):
        with tf.GradientTape() as tape:
            error, kl = self.terms(x)
            loss = error + self.beta * kl
        weights = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        return {"loss": loss, "kl": kl}


@fault(
    cause="the weight of the divergence is a Python number, 0 when the step "
    "is traced, and stays 0 whatever the callback sets",
    layers=["moments"],
    source="keras-team/keras #13826",
)
def annealing_that_is_traced(training):
    """As posted: "The process starts with KL term at 0.0 and the entire
    training is performed with that value": `beta` is a Python number that the
    traced step has read. Bound 102.74 against 24.91, kl 85.50 against 3.11."""
    x, _, xt, _ = sources.digits()
    beta = 0.0 if training.broken else tf.Variable(0.0, trainable=False)
    model = Annealed(beta)
    model.compile(keras.optimizers.Adam(0.003))

    def anneal(epoch, _):
        value = min(1.0, epoch / 10)
        if training.broken:
            model.beta = value
        else:
            model.beta.assign(value)

    raised = keras.callbacks.LambdaCallback(on_epoch_begin=anneal)
    training.fit(model, x, epochs=30, batch_size=32, callbacks=[raised])
    tf.random.set_seed(0)
    error, kl = model.terms(tf.constant(xt))
    return {"bound": float(error + kl), "kl": float(kl)}
