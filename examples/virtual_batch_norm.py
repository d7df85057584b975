"""One pass or two passes through the same network: is the training different?

The question (TensorFlow 1): virtual batch norm takes its statistics from a
fixed reference batch. The first program concatenates reference and input, sends
them through the network in one pass, and normalises by the first half. The
second program sends the reference first, keeps the statistics, and then sends
the input, with shared weights. The first converges, the second does not. And:
"the outputs change when I look at the gradients."

What gradscope shows: nothing is wrong with either, and `gradscope compare`
reports that `one_pass` and `two_passes` are the same function. Their gradients
agree to rounding, except for the biases before a normalisation, whose true
gradient is zero. Adam makes full steps of that noise, so the two still drift
apart. `wrong_half` takes its statistics from the input, and differs in every
layer from the first step on. Observing changes nothing: docs/observing.md.

The lesson: compare gradients on one batch, not curves of two trainings.
"""

import os

import keras
import tensorflow as tf
from gradscope_examples import data, running

import gradscope

v1 = tf.compat.v1
STEPS, HALF, FILTERS = 150, 32, (8, 16, 16)


class VirtualNorm(keras.layers.Layer):
    """Normalises by given statistics, or by those of its input."""

    def build(self, shape):
        self.gamma = self.add_weight(shape[-1:], "ones", name="gamma")
        self.beta = self.add_weight(shape[-1:], "zeros", name="beta")

    def call(self, x, statistics=None):
        mean, variance = statistics or tf.nn.moments(x, [0, 1, 2])
        factor = tf.math.rsqrt(variance + 1e-5) * self.gamma
        return x * factor + (self.beta - mean * factor)


def one_pass(layers, reference, images, half=slice(None, HALF)):
    x = tf.concat([reference, images], axis=0)
    for convolution, norm in layers:
        x = convolution(x)
        x = tf.nn.relu(norm(x, tf.nn.moments(x[half], [0, 1, 2])))
    return x[HALF:]


def two_passes(layers, reference, images):
    kept = []
    for convolution, norm in layers:
        reference = convolution(reference)
        kept.append(tf.nn.moments(reference, [0, 1, 2]))
        reference = tf.nn.relu(norm(reference))
    for (convolution, norm), statistics in zip(layers, kept, strict=True):
        images = tf.nn.relu(norm(convolution(images), statistics))
    return images


def wrong_half(layers, reference, images):
    return one_pass(layers, reference, images, half=slice(HALF, None))


class Network(keras.Model):
    def __init__(self, passes):
        super().__init__()
        self.passes = passes
        self.convolutions = [
            keras.layers.Conv2D(filters, 3, name=f"layer_{number}")
            for number, filters in enumerate(FILTERS)
        ]
        self.norms = [VirtualNorm(name=f"norm_{n}") for n in range(3)]
        self.head = keras.layers.Dense(2, name="head")

    def call(self, both):
        layers = list(zip(self.convolutions, self.norms, strict=True))
        x = self.passes(layers, *both)
        return self.head(tf.reduce_mean(x, axis=[1, 2]))


def keras_3(options, passes):
    x, y, *_ = data.images(options.data, size=16)
    x, y = x[..., tf.newaxis], y % 2
    fixed = tf.constant(x[:HALF])
    model = Network(passes)
    model([fixed, fixed])
    optimizer = keras.optimizers.Adam(1e-3)
    gradscope.wrap(optimizer, options.logdir, every=1, model=model)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def step(images, labels):
        with tf.GradientTape() as tape:
            value = loss(labels, model([fixed, images]))
        weights = model.trainable_variables
        optimizer.apply(tape.gradient(value, weights), weights)
        return value

    drawn = data.batches(x, y, HALF, STEPS, options.seed)
    losses = [float(step(tf.constant(a), tf.constant(b))) for a, b in drawn]
    gradscope.unwrap(optimizer)
    return last_loss(losses)


def last_loss(losses):
    return {"loss of the last 20 steps": sum(losses[-20:]) / 20}


def tensorflow_1(options, passes):
    """The program of the question, with `gradscope.wrap` added."""

    def variable(name, shape, start=None):
        return v1.get_variable(name, shape, initializer=start)

    def layer(number, before, filters):
        with v1.variable_scope(f"layer_{number}"):
            kernel = variable("kernel", [3, 3, before, filters])
            bias = variable("bias", [filters], tf.zeros_initializer())
        with v1.variable_scope(f"norm_{number}"):
            gamma = variable("gamma", [filters], tf.ones_initializer())
            beta = variable("beta", [filters], tf.zeros_initializer())

        def convolution(x):
            return tf.nn.conv2d(x, kernel, 1, "VALID") + bias

        def norm(x, statistics=None):
            mean, variance = statistics or tf.nn.moments(x, [0, 1, 2])
            factor = tf.math.rsqrt(variance + 1e-5) * gamma
            return x * factor + (beta - mean * factor)

        return convolution, norm

    x, y, *_ = data.images(options.data, size=16)
    x, y = x[..., None], y % 2
    with tf.Graph().as_default(), v1.Session() as session:
        v1.set_random_seed(options.seed)
        fixed = tf.constant(x[:HALF])
        images = v1.placeholder(tf.float32, [HALF, 16, 16, 1])
        labels = v1.placeholder(tf.int64, [HALF])
        sizes = zip((1, *FILTERS), FILTERS, strict=False)
        layers = [layer(n, *pair) for n, pair in enumerate(sizes)]
        h = tf.reduce_mean(passes(layers, fixed, images), axis=[1, 2])
        with v1.variable_scope("head"):
            logits = h @ variable("kernel", [FILTERS[-1], 2])
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        )
        optimizer = v1.train.AdamOptimizer(1e-3)
        gradscope.wrap(optimizer, options.logdir, every=1)
        train = optimizer.minimize(loss)
        session.run(v1.global_variables_initializer())
        losses = [
            session.run([train, loss], {images: a, labels: b})[1]
            for a, b in data.batches(x, y, HALF, STEPS, options.seed)
        ]
        gradscope.unwrap(optimizer)
    return last_loss(losses)


VARIANTS = {
    "one_pass": lambda o: keras_3(o, one_pass),
    "two_passes": lambda o: keras_3(o, two_passes),
    "wrong_half": lambda o: keras_3(o, wrong_half),
    "one_pass_tf1": lambda o: tensorflow_1(o, one_pass),
    "two_passes_tf1": lambda o: tensorflow_1(o, two_passes),
}


def compared(options):
    """Report whether the programs are one function, and where runs part."""
    x, y, *_ = data.images(options.data, size=16)
    x, y = x[..., tf.newaxis], y % 2
    both = [x[:HALF], x[HALF : 2 * HALF]]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    models = {}
    for passes in (one_pass, two_passes, wrong_half):
        models[passes] = Network(passes)
        models[passes].compile(loss=loss)
        models[passes](both)
    for other in (two_passes, wrong_half):
        first, second = models[one_pass], models[other]
        told = gradscope.same(first, second, both, y[HALF : 2 * HALF])
        print(f"\none_pass and {other.__name__}, one batch:\n{told}")
    print("\none_pass and wrong_half, the whole run:")
    run = os.path.join(options.logdir, "{}").format
    print(gradscope.compare(run("one_pass"), run("wrong_half")))


if __name__ == "__main__":
    running.main(__file__, __doc__, VARIANTS, compared)
