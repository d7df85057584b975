"""What `fit` was given: a batch to be probed when it has ended, and whose trial
it is.

Keras does not show its callbacks the data; the arrays are arguments of `fit`,
which is on the stack. Of a `tf.data.Dataset` or a generator nothing is taken:
whoever asks for a batch moves what is shuffled or read after it.
"""

from __future__ import annotations

import contextlib
import random
import sys
import warnings

import numpy as np
import tensorflow as tf

#: Examples of a batch, where they are drawn at random while training.
_LEAST, _MOST = 32, 256


def arguments(model) -> dict | None:
    """Returns the arguments of the `fit` that is running, None if there is
    none.

    Args:
        model: That is trained.
    """
    local_variables = _running(model)
    names = ("x", "y", "sample_weight", "batch_size", "shuffle")
    return local_variables and {
        name: local_variables.get(name) for name in names
    }


def trial_name(model) -> str | None:
    """Returns the name that Keras Tuner has for the `fit` that is running,
    None where it is no trial of it.

    Args:
        model: That is trained.
    """
    callbacks = (_running(model) or {}).get("callbacks")
    for callback in getattr(callbacks, "callbacks", callbacks) or ():
        name = getattr(getattr(callback, "trial", None), "trial_id", None)
        if isinstance(name, str) and name:
            return name
    return None


def _running(model) -> dict | None:
    """Returns what the `fit` that is running knows, None if there is none."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "fit":
            local_variables = frame.f_locals
            if local_variables.get("self") is model and "x" in local_variables:
                return local_variables
        frame = frame.f_back
    return None


def batch(fit_arguments: dict) -> tuple | None:
    """Returns a batch `(x, y, sample_weight)` like those of training; None
    where the data are no arrays.

    Args:
        fit_arguments: As of `arguments`.
    """
    parts = (
        fit_arguments["x"],
        fit_arguments["y"],
        fit_arguments["sample_weight"],
    )
    arrays = [leaf for leaf in tf.nest.flatten(parts) if leaf is not None]
    if not arrays or not all(map(_is_array, arrays)):
        return None
    counts = {len(array) for array in arrays}
    if len(counts) != 1 or not min(counts):
        return None
    size, count = int(fit_arguments["batch_size"] or 32), counts.pop()
    if fit_arguments["shuffle"]:  # from all over: they may be sorted by class
        size = min(count, _MOST, max(_LEAST, size))
        rows = np.arange(size) * count // size
    else:
        rows = np.arange(min(count, size))

    def take_rows(leaf):
        if leaf is None:
            return None
        return tf.gather(leaf, rows) if tf.is_tensor(leaf) else leaf[rows]

    return tf.nest.map_structure(take_rows, parts)


def depends_on_mode(model) -> bool:
    """Returns whether a model may compute something else in inference mode:
    it has a batch norm or dropout, or code of its own that takes `training`.
    """
    return any(map(_depends_on_mode, [model, *model._flatten_layers()]))


@contextlib.contextmanager
def without_side_effects():
    """Puts back what a model's Python code may draw from, and keeps warnings
    of a trace that nobody has asked for to itself."""
    drawn, drawn_by_numpy = random.getstate(), np.random.get_state()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        random.setstate(drawn)
        np.random.set_state(drawn_by_numpy)


def _depends_on_mode(layer) -> bool:
    module = type(layer).__module__.partition(".")[0]
    if module in ("keras", "tf_keras"):
        return hasattr(layer, "moving_mean") or bool(
            getattr(layer, "rate", None)
        )
    return bool(getattr(layer, "_call_has_training_arg", True))


def _is_array(leaf) -> bool:
    dense = isinstance(leaf, np.ndarray) or (
        isinstance(leaf, tf.Tensor) and not tf.is_symbolic_tensor(leaf)
    )
    return dense and leaf.ndim > 0 and leaf.dtype != object
