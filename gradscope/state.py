"""Variables of our own: made, read and set beside whatever is being traced."""

from __future__ import annotations

import threading

import numpy as np
import tensorflow as tf


def variable(value: np.ndarray, device: str) -> tf.Variable:
    """Returns a new variable that belongs to no function, scope or model.

    It is made in a thread of its own. A `tf.function` lifts variables that
    are created while it is traced, also under `tf.init_scope`, and fails to
    do so under XLA; a distribution strategy would make a replicated one.

    Args:
        value: Its initial value.
        device: Where to put it, `""` for TensorFlow's choice.
    """
    made: list[tf.Variable] = []

    def make():
        with tf.device(device):
            made.append(tf.Variable(value, trainable=False, name="gradscope"))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if not made:
        raise RuntimeError(
            f"no variable of shape {value.shape} could be made on {device!r}."
        )
    return made[0]


def value(variable: tf.Variable) -> np.ndarray:
    """Returns what a variable holds now, also while a graph is traced.

    Garbage is collected at any time, so an optimizer can die, and its record
    be closed, in the middle of another one's trace.
    """
    with tf.init_scope():
        return variable.read_value().numpy()


def assign(variable: tf.Variable, value) -> None:
    """Sets a variable, also while a graph is traced."""
    with tf.init_scope():
        variable.assign(value)
