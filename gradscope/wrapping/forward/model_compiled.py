"""Describes the loss and the metrics with which a Keras model was compiled."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from gradscope.format.model_facts import MOST_LAYERS, MOST_TEXT, json_values

if TYPE_CHECKING:
    import keras

_Result = TypeVar("_Result")

#: The arguments of a loss that the record has.
_LOSS = (
    "from_logits",
    "label_smoothing",
    "axis",
    "delta",
    "gamma",
    "alpha",
    "reduction",
)


def quietly(function: Callable[[], _Result], default: _Result) -> _Result:
    """Call a function, and return a default if it fails."""
    try:
        return function()
    except Exception:  # a user's layer may do anything
        return default


def losses(model: keras.Model) -> dict | list | None:
    """Describe the loss of a compiled model, or a list with that of each of
    its outputs; None without a loss."""
    compiled = getattr(model, "loss", None)
    if isinstance(compiled, dict):
        # A dict may have another order than the model's outputs.
        order = getattr(model, "output_names", None) or list(compiled)
        compiled = [compiled[name] for name in order if name in compiled]
    if isinstance(compiled, list | tuple):
        described = [_loss(model, loss) for loss in compiled[:MOST_LAYERS]]
        return described[0] if len(described) == 1 else described
    return _loss(model, compiled)


def _loss(model, loss):
    if isinstance(loss, str):
        library = "keras" if _is_keras_3(model) else "tf_keras"
        get = sys.modules[library].losses.get
        loss = quietly(functools.partial(get, loss), loss)
    if loss is None:
        return None
    if isinstance(loss, str):
        return {"class": loss[:MOST_TEXT], "config": {}}
    keywords: dict = {}
    # The keywords of the outermost `partial` count.
    while isinstance(loss, functools.partial):
        keywords = {**(loss.keywords or {}), **keywords}
        loss = loss.func
    if inspect.isroutine(loss):
        name = loss.__name__
        parameters = quietly(lambda: inspect.signature(loss).parameters, {})
        config = {
            key: parameter.default
            for key, parameter in parameters.items()
            if parameter.default is not inspect.Parameter.empty
        }
    else:
        name = type(loss).__name__
        config = quietly(lambda: loss.get_config(), {})
        if not isinstance(config, dict):
            config = {}
        inner = getattr(loss, "from_logits", None)
        config = config if inner is None else {"from_logits": inner, **config}
    config = {**config, **keywords}
    return {
        "class": name[:MOST_TEXT],
        "config": json_values(
            {key: config[key] for key in _LOSS if key in config}
        ),
    }


def _is_keras_3(model) -> bool:
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(model, keras.Model)


def metrics(model: keras.Model) -> list[str]:
    """List the names of the metrics of a compiled model."""
    names: list[str] = []

    def add(metric):
        if isinstance(metric, dict):
            metric = list(metric.values())
        if isinstance(metric, list | tuple):
            for part in metric:
                add(part)
        elif metric is not None:
            name = getattr(metric, "name", None) or getattr(
                metric, "__name__", metric
            )
            names.append(str(name)[:MOST_TEXT])

    # Keras builds the public `metrics` of these only with the first batch.
    compiled = getattr(model, "_compile_metrics", None) or getattr(
        model, "compiled_metrics", None
    )
    add(getattr(compiled, "_user_metrics", None))
    add(getattr(compiled, "_user_weighted_metrics", None))
    return names[:MOST_LAYERS]
