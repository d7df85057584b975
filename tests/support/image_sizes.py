"""Batches of images of many sizes, and a network that takes them."""

import functools

import keras
import numpy as np
import tensorflow as tf

FITS = {
    "fit_graph": {"jit_compile": False},
    "fit_jit": {"jit_compile": True},
    "fit_2_steps": {"jit_compile": False, "steps_per_execution": 2},
    "fit_eager": {"run_eagerly": True},
}


LOOPS = {
    "loop_eager": lambda step: step,
    "loop_function": functools.partial(tf.function, reduce_retracing=True),
    "loop_jit": functools.partial(
        tf.function, jit_compile=True, reduce_retracing=True
    ),
}


#: The last execution of two steps has one.
SIZES = ((2, 8, 8), (3, 4, 6), (1, 8, 4))


random = np.random.default_rng(0)
BATCHES = [
    (
        random.normal(size=(*size, 1)).astype("f"),
        random.normal(size=(size[0], size[1] // 2, size[2] // 2, 1)).astype(
            "f"
        ),
    )
    for size in SIZES
]


def data(batches=BATCHES):
    """Returns a dataset that says nothing but the number of channels."""
    specs = tuple(
        tf.TensorSpec([*(None for _ in part.shape[1:]), part.shape[-1]])
        for part in batches[0]
    )
    return tf.data.Dataset.from_generator(
        lambda: iter(batches), output_signature=specs
    )


def images(library=keras):
    """Two activations of as many channels, of which one has half the size."""
    layers = library.layers
    conv = functools.partial(layers.Conv2D, padding="same")
    x = library.Input((None, None, 1))
    large = conv(4, 3, activation="relu", name="large")(x)
    small = layers.MaxPooling2D()(large)
    small = conv(4, 3, activation="relu", name="small")(small)
    return library.Model(x, conv(1, 1, name="last")(small))
