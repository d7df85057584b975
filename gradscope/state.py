"""Variables of our own: made, read and set beside whatever is being traced."""

from __future__ import annotations

import contextlib
import threading

import numpy as np
import tensorflow as tf

# Has no public name: what is called after every op, as by checks of numerics.
from tensorflow.python.eager import context


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
    errors: list[Exception] = []

    def make():
        try:
            with tf.device(device):
                made.append(
                    tf.Variable(value, trainable=False, name="gradscope")
                )
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if errors:
        raise RuntimeError(
            f"no variable of shape {value.shape} could be made on {device!r}: "
            f"{errors[0]}"
        ) from errors[0]
    return made[0]


def value(variable: tf.Variable) -> np.ndarray:
    """Returns what a variable holds now. Not to be called in a trace, which
    would take the variable for one of its own."""
    with eagerly():
        return variable.read_value().numpy()


def assign(variable: tf.Variable, value) -> None:
    """Sets a variable. Not to be called in a trace."""
    with eagerly():
        variable.assign(value)


@contextlib.contextmanager
def eagerly():
    """A place for what is done at once, also where a graph of TensorFlow 1 is
    being built."""
    with tf.__internal__.eager_context.eager_mode(), unchecked():
        yield


@contextlib.contextmanager
def unchecked():
    """A place for ops of ours where `tf.debugging.enable_check_numerics` does
    not look: our NaN says that a number is not known, and is no fault."""
    callbacks = context.context().op_callbacks  # this thread's
    before = list(callbacks)
    callbacks.clear()
    try:
        yield
    finally:
        callbacks[:] = before
