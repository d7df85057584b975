"""Creates, reads and sets gradscope's own variables, even during a trace."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import tensorflow as tf

# Has no public name: the callbacks that run after every operation, which
# TensorFlow uses to check numerics.
from tensorflow.python.eager import context

_Result = TypeVar("_Result")


def create(value: np.ndarray, device: str) -> tf.Variable:
    """Create a variable that belongs to no function, scope or model.

    A `tf.function` lifts variables that are created while it is traced, even
    under `tf.init_scope`, and fails to do so under XLA; a distribution
    strategy would make a replicated one.

    Args:
        value: Its initial value.
        device: Name of its device; TensorFlow chooses for `""`.

    Raises:
        RuntimeError: If TensorFlow cannot create it, as where memory is short.
    """

    def make():
        with tf.device(device):
            return tf.Variable(value, trainable=False, name="gradscope")

    try:
        variable = run_in_thread(make)
    except Exception as error:
        raise RuntimeError(
            f"no variable of shape {value.shape} could be made on {device!r}: "
            f"{error}"
        ) from error
    _variables[id(variable.handle)] = variable
    return variable


def is_own(handle: tf.Tensor) -> bool:
    """Whether a handle is that of one of gradscope's variables."""
    return id(handle) in _variables


#: gradscope's variables by the ids of their handles. Weak, so that a ring's
#: memory is free again with its drain.
_variables: weakref.WeakValueDictionary = weakref.WeakValueDictionary()


def run_in_thread(function: Callable[[], _Result]) -> _Result:
    """Call a function in a new thread, and wait for its result.

    Graphs, scopes and strategies belong to a thread, so that the function runs
    eagerly and outside of all of them.
    """
    results: list = []
    errors: list[Exception] = []

    def run():
        try:
            results.append(function())
        except Exception as error:
            # Raised in the caller's thread below; in this one it would be
            # printed and forgotten.
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def value(variable: tf.Variable) -> np.ndarray:
    """Read the present value of a variable.

    Not to be called during a trace: the function that is traced would take the
    variable for one of its own.
    """
    with eagerly():
        return variable.read_value().numpy()


def assign(variable: tf.Variable, value: np.ndarray) -> None:
    """Set a variable. Not to be called during a trace."""
    with eagerly():
        variable.assign(value)


@contextlib.contextmanager
def eagerly() -> Iterator[None]:
    """Execute operations at once, even where a graph of TensorFlow 1 is being
    built."""
    with tf.__internal__.eager_context.eager_mode(), unchecked():
        yield


@contextlib.contextmanager
def unchecked() -> Iterator[None]:
    """Hide operations from `tf.debugging.enable_check_numerics`.

    gradscope's NaN says that a number is not known, and is no fault.
    """
    callbacks = context.context().op_callbacks  # of this thread
    before = list(callbacks)
    callbacks.clear()
    try:
        yield
    finally:
        callbacks[:] = before
