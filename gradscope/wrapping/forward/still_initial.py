"""Tells whether a layer's untrained variables still have initial values.

A frozen layer with such weights is random, as where weights were to be loaded
and no name fitted; a batch norm with such statistics normalises nothing in
inference mode.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

#: Scale, fan and shape of the distributions of initializers with a name.
_NAMED = {
    "GlorotUniform": (1.0, "fan_avg", "uniform"),
    "GlorotNormal": (1.0, "fan_avg", "truncated_normal"),
    "HeUniform": (2.0, "fan_in", "uniform"),
    "HeNormal": (2.0, "fan_in", "truncated_normal"),
    "LecunUniform": (1.0, "fan_in", "uniform"),
    "LecunNormal": (1.0, "fan_in", "truncated_normal"),
}

#: Standard deviation of a normal distribution that is cut at two of them.
_TRUNCATED = 0.87962566

#: Fewest weights of which a size is told, and most that are read.
_FEWEST, _MOST = 60, 2**24


def is_initial(layer: Any, config: Mapping[str, Any]) -> bool | None:
    """Return whether a layer's untrained weights are those of its initializer.

    None for a layer without such weights, or with an initializer of which that
    cannot be told.

    Args:
        layer: A Keras layer.
        config: Its configuration, as in the record.
    """
    mean = getattr(layer, "moving_mean", None)
    variance = getattr(layer, "moving_variance", None)
    # No optimizer trains these, whether the layer is frozen or not.
    if mean is not None and variance is not None:
        return bool((_read(mean) == 0).all() and (_read(variance) == 1).all())
    if config.get("trainable", True) is not False:
        return None
    for name in ("kernel", "embeddings"):
        weights = getattr(layer, name, None)
        if weights is not None:
            initializer = config.get(f"{name}_initializer")
            return _is_random(layer, weights, initializer, config)
    return None


def _is_random(layer, weights, initializer, config) -> bool | None:
    size = math.prod(weights.shape)
    if not _FEWEST <= size <= _MOST:
        return None
    expected = _rms_and_bound(initializer, tuple(weights.shape))
    if expected is None:
        return None
    bias = getattr(layer, "bias", None)
    starts_at_zero = _class_name(config.get("bias_initializer")) == "Zeros"
    # Trained kernels may have the initializer's size, but their biases are no
    # longer 0.
    if bias is not None and starts_at_zero and _read(bias).any():
        return False
    rms, bound = expected
    values = _read(weights)
    # Of n numbers the rms is exact to 1 / sqrt(2 n) of itself.
    margin = 4 / math.sqrt(2 * size)
    is_expected = abs(np.sqrt(np.mean(values**2)) / rms - 1) < margin
    # The bound is rounded in float32.
    return bool(is_expected and abs(values).max() <= bound * 1.0001)


def _rms_and_bound(
    initializer: Any, shape: tuple[int, ...]
) -> tuple[float, float] | None:
    """Root mean square and largest magnitude of an initializer's numbers."""
    name = _class_name(initializer)
    config = (
        initializer.get("config") if isinstance(initializer, Mapping) else None
    )
    config = config if isinstance(config, Mapping) else {}
    if name == "RandomUniform":
        bound = abs(float(config.get("maxval", 0)))
        is_even = config.get("minval") == -bound and bound > 0
        return (bound / math.sqrt(3), bound) if is_even else None
    scale = _NAMED.get(name)
    if name == "VarianceScaling":
        keys = ("scale", "mode", "distribution")
        scale = tuple(config.get(key) for key in keys)
    if scale is None or len(shape) < 2:
        return None
    fans = [math.prod(shape[:-2]) * n for n in shape[-2:]]
    fan = {
        "fan_in": fans[0],
        "fan_out": fans[1],
        "fan_avg": sum(fans) / 2,
    }.get(scale[1])
    if fan is None:
        return None
    # Keras, too, divides by 1 at least.
    rms = math.sqrt(scale[0] / max(1.0, fan))
    if scale[2] == "uniform":
        return rms, rms * math.sqrt(3)
    if scale[2] == "truncated_normal":
        return rms, 2 * rms / _TRUNCATED
    return None


def _class_name(initializer: Any) -> str:
    if not isinstance(initializer, Mapping):
        return ""
    return str(initializer.get("class_name"))


def _read(variable: Any) -> np.ndarray:
    return np.asarray(variable.numpy(), np.float64)
