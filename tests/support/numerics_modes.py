"""The modes of docs/numerics.md."""

import tensorflow as tf

MODES = ("eager", "graph", "jit")
RAISES = tf.errors.InvalidArgumentError


def in_mode(mode, function):
    """Returns a function of tensors as it runs in a mode."""
    if mode == "eager":
        return function
    return tf.function(function, jit_compile=mode == "jit", autograph=False)
