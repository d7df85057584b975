"""Variables of our own: made, read and set beside whatever is being traced."""

from __future__ import annotations

import contextlib
import threading
import weakref

import numpy as np
import tensorflow as tf

# Has no public name: what is called after every op, as by checks of numerics.
from tensorflow.python.eager import context


def variable(value: np.ndarray, device: str) -> tf.Variable:
    """Returns a new variable that belongs to no function, scope or model.

    A `tf.function` lifts variables that are created while it is traced, also
    under `tf.init_scope`, and fails to do so under XLA; a distribution
    strategy would make a replicated one.

    Args:
        value: Its initial value.
        device: Where to put it, `""` for TensorFlow's choice.
    """

    def make():
        with tf.device(device):
            return tf.Variable(value, trainable=False, name="gradscope")

    try:
        made = aside(make)
    except Exception as error:
        raise RuntimeError(
            f"no variable of shape {value.shape} could be made on {device!r}: "
            f"{error}"
        ) from error
    _made[id(made.handle)] = made
    return made


def is_own(handle: tf.Tensor) -> bool:
    """Returns whether a variable is one of ours, by its handle."""
    return id(handle) in _made


#: Variables of ours by their handles.
_made: weakref.WeakValueDictionary = weakref.WeakValueDictionary()


def aside(function):
    """Returns what a function returns in a thread of its own: there is no
    graph, no scope and no strategy around it."""
    results: list = []
    errors: list[Exception] = []

    def run():
        try:
            results.append(function())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


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
