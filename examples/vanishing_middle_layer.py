"""One more layer, and the network stops learning: the gradient vanishes.

The question (Stack Overflow, TensorFlow 1): a network of 1-16-1 units learns
to give back half of its input. With a layer of 16 more units in the middle its
output becomes one constant, whatever comes in. What is wrong?

Run `python examples/vanishing_middle_layer.py`, then `tensorboard --logdir
logs`, tab Gradscope. In the run `broken` the gradient fades from the last
layer to the first by a factor of several hundred, from the first step on; in
`repaired` all layers have much the same colour. So it is neither the learning
rate nor the clipping (it never fires): weights drawn from N(0, 0.001) shrink
whatever passes through them, forwards and backwards. Xavier's initialisation
keeps the scale, and a bias of 0.1 keeps the units alive.
"""

import argparse
import os

import keras
import numpy as np
import tensorflow as tf

import gradscope

STEPS = 10_000


def tiny():
    return keras.initializers.RandomNormal(stddev=1e-3)


def constant():
    return keras.initializers.Constant(0.1)


#: How kernels and biases are initialised.
VARIANTS = {
    "broken": (tiny, tiny),
    "repaired": (keras.initializers.GlorotUniform, constant),
}


def network(kernels, biases):
    # Each variable gets an initialiser of its own: Keras draws the same
    # numbers again when one is used twice.
    def dense(units, activation, name):
        return keras.layers.Dense(
            units, activation, True, kernels(), biases(), name=name
        )

    return keras.Sequential(
        [
            keras.Input([1]),
            dense(16, "relu", "first"),
            dense(16, "relu", "middle"),
            dense(1, None, "last"),
        ]
    )


def train(model, logdir):
    """Learns 2 * output = input, one example a step; returns the losses."""
    optimizer = keras.optimizers.SGD(1e-3, clipvalue=4.5)
    gradscope.wrap(optimizer, logdir)

    @tf.function
    def step(signal):
        with tf.GradientTape() as tape:
            distance = tf.reduce_sum((signal - 2 * model(signal)) ** 2)
        gradients = tape.gradient(distance, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return distance

    signals = np.random.default_rng(0).uniform(-1, 1, [STEPS, 1, 1])
    losses = [step(tf.constant(signal, tf.float32)) for signal in signals]
    gradscope.unwrap(optimizer)
    return np.array(losses)


def report(variant, losses, record):
    rms = np.sqrt(np.mean(record["gradient_rms"] ** 2, axis=0))
    rms = dict(zip(record.variables, rms, strict=True))
    first, last = rms["first/kernel"], rms["last/kernel"]
    print(
        f"{variant}: loss of the last 1000 steps {losses[-1000:].mean():.2g}, "
        f"gradient rms of the first kernel {first:.2g}, "
        f"of the last {last:.2g} ({last / first:.3g} times as much)"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--logdir", default="logs")
    parser.add_argument("--variant", choices=VARIANTS, help="default: both")
    arguments = parser.parse_args()
    logdir = os.path.join(arguments.logdir, "vanishing_middle_layer")
    for variant, initializers in VARIANTS.items():
        if arguments.variant in (None, variant):
            keras.utils.set_random_seed(0)
            run = os.path.join(logdir, variant)
            losses = train(network(*initializers), run)
            report(variant, losses, gradscope.read(run))
    print(f"Now: tensorboard --logdir {arguments.logdir}, tab Gradscope")


if __name__ == "__main__":
    main()
