"""Arguments of the `fit` that is running: a batch to probe, a tuner's trial,
and choices that are hardly meant.

Keras does not show its callbacks the data, but the arrays are arguments of
`fit`, which is on the stack. A `tf.data.Dataset` or a generator is left alone:
taking a batch of it would change the order of later batches.
"""

from __future__ import annotations

import contextlib
import random
import sys
import types
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from gradscope.format.rows import Wiring
from gradscope.wrapping.fit import (
    class_weights,
    layer_options,
    masked_words,
    monitors,
)

#: Least and most examples of a batch, if training draws them at random.
_LEAST, _MOST = 32, 256


def arguments(model: Any) -> dict | None:
    """The arguments of the `fit` that is running; None if none is running.

    Args:
        model: The model that `fit` trains.
    """
    local_variables = _running(model)
    names = ("x", "y", "sample_weight", "batch_size", "shuffle")
    return local_variables and {
        name: local_variables.get(name) for name in names
    }


def is_running(model: Any) -> bool:
    """Return whether a `fit` of a model is running in this thread."""
    return _running(model) is not None


def is_in_callback(model: Any) -> bool:
    """Return whether this code was called by a callback of the `fit` of a model
    that is running in this thread."""
    frame = sys._getframe(1)
    while frame is not None and not _is_fit(frame, model):
        if type(frame.f_locals.get("self")).__name__ == "CallbackList":
            return True
        frame = frame.f_back
    return False


def trial_name(model: Any) -> str | None:
    """The name of Keras Tuner's trial that is running; None outside of a trial.

    Args:
        model: The model that `fit` trains.
    """
    for callback in _callbacks(_running(model) or {}):
        name = getattr(getattr(callback, "trial", None), "trial_id", None)
        if isinstance(name, str) and name:
            return name
    return None


def odd_choices(model: Any) -> list[Wiring]:
    """List arguments of the `fit` that is running that are hardly meant, or
    that rules compare with what the training did.

    Args:
        model: The model that `fit` trains.
    """
    running = _running(model) or {}
    odd: list[Wiring] = []
    looks = (
        _shuffled_states,
        _idle_plateaus,
        _monitors,
        _odd_layers,
        _masked_words,
        _odd_weights,
    )
    for look in looks:
        with contextlib.suppress(Exception):  # a user's callback may be odd
            odd += look(model, running)
    return odd


def _shuffled_states(model: Any, running: dict) -> list[Wiring]:
    if not running.get("shuffle") or not _is_array_like(running.get("x")):
        return []
    return [
        Wiring("shuffled_state", str(layer.name), type(layer).__name__)
        for layer in model._flatten_layers()
        if getattr(layer, "stateful", False) is True and hasattr(layer, "cell")
    ]


def _idle_plateaus(model: Any, running: dict) -> list[Wiring]:
    rate = getattr(model.optimizer, "learning_rate", None)
    if rate is None or callable(rate):
        return []
    return [
        Wiring(
            "idle_plateau",
            "ReduceLROnPlateau",
            f"{float(rate):.3g} {callback.min_lr:.3g}",
        )
        for callback in _callbacks(running)
        if type(callback).__name__ == "ReduceLROnPlateau"
        and callback.min_lr >= float(rate)
    ]


def _monitors(model: Any, running: dict) -> list[Wiring]:
    return monitors.monitors(_callbacks(running))


def _odd_layers(model: Any, running: dict) -> list[Wiring]:
    return list(layer_options.odd_layers(model))


def _masked_words(model: Any, running: dict) -> list[Wiring]:
    return list(masked_words.masked_words(model, running.get("x")))


def _odd_weights(model: Any, running: dict) -> list[Wiring]:
    weights = running.get("class_weight")
    return list(class_weights.odd_weights(running.get("y"), weights))


def _callbacks(running: dict) -> list[Any]:
    """The callbacks of a `fit`, which makes a `CallbackList` of them."""
    callbacks = running.get("callbacks")
    return list(getattr(callbacks, "callbacks", callbacks) or ())


def _is_array_like(x: Any) -> bool:
    """Return whether `fit` can shuffle data: a data set orders itself."""
    leaves = tf.nest.flatten(x)
    return bool(leaves) and all(map(_is_array, leaves))


def _running(model) -> dict | None:
    """The local variables of the `fit` that is running; None if none is
    running."""
    frame = sys._getframe(1)
    while frame is not None:
        if _is_fit(frame, model):
            return frame.f_locals
        frame = frame.f_back
    return None


def _is_fit(frame: types.FrameType, model: Any) -> bool:
    if frame.f_code.co_name != "fit":
        return False
    # Any library may have a `fit`, and a model's own may call that of Keras.
    local_variables = frame.f_locals
    return local_variables.get("self") is model and "x" in local_variables


def batch(fit_arguments: dict) -> tuple | None:
    """Take a batch like those of training.

    Args:
        fit_arguments: The result of `arguments`.

    Returns:
        `(x, y, sample_weight)`, or None if the data are not arrays.
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
    # 32 is Keras's default.
    size, count = int(fit_arguments["batch_size"] or 32), counts.pop()
    if fit_arguments["shuffle"]:  # spread the rows: data may be sorted by class
        size = min(count, _MOST, max(_LEAST, size))
        rows = np.arange(size) * count // size
    else:
        rows = np.arange(min(count, size))

    def take_rows(leaf: Any) -> Any:
        if leaf is None:
            return None
        return tf.gather(leaf, rows) if tf.is_tensor(leaf) else leaf[rows]

    return tf.nest.map_structure(take_rows, parts)


def depends_on_mode(model: Any) -> bool:
    """Return whether a model may compute something else in inference mode.

    It may if it has a batch norm, a dropout, or custom layers with an argument
    `training`.
    """
    return any(map(_depends_on_mode, [model, *model._flatten_layers()]))


@contextlib.contextmanager
def without_side_effects() -> Iterator[None]:
    """Context that restores the random states of Python and NumPy afterwards.

    It also silences the warnings of a trace that the user has not asked for.
    """
    state, numpy_state = random.getstate(), np.random.get_state()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)


def _depends_on_mode(layer) -> bool:
    module = type(layer).__module__.partition(".")[0]
    if module in ("keras", "tf_keras"):
        # A dropout of rate 0 drops nothing.
        return hasattr(layer, "moving_mean") or bool(
            getattr(layer, "rate", None)
        )
    return bool(getattr(layer, "_call_has_training_arg", True))


def _is_array(leaf) -> bool:
    dense = isinstance(leaf, np.ndarray) or (
        isinstance(leaf, tf.Tensor) and not tf.is_symbolic_tensor(leaf)
    )
    return dense and leaf.ndim > 0 and leaf.dtype != object
