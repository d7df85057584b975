"""What a Keras model was compiled with: its loss and its metrics, by name."""

from __future__ import annotations

import functools
import inspect
import sys

from gradscope.format.model_facts import MOST_LAYERS, MOST_TEXT, json_values

#: What is told of a loss.
_LOSS = (
    "from_logits",
    "label_smoothing",
    "axis",
    "delta",
    "gamma",
    "alpha",
    "reduction",
)


def quietly(tell, otherwise):
    """Returns what a model tells, something else where that fails."""
    try:
        return tell()
    except Exception:  # a user's layer may do anything
        return otherwise


def losses(model):
    """Returns the loss that a model was compiled with: one, or of each of its
    outputs one."""
    given = getattr(model, "loss", None)
    if isinstance(given, dict):
        order = getattr(model, "output_names", None) or list(given)
        given = [given[name] for name in order if name in given]
    if isinstance(given, list | tuple):
        told = [_loss(model, one) for one in given[:MOST_LAYERS]]
        return told[0] if len(told) == 1 else told
    return _loss(model, given)


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
    while isinstance(loss, functools.partial):
        keywords = {**(loss.keywords or {}), **keywords}
        loss = loss.func
    if inspect.isroutine(loss):
        name = loss.__name__
        parameters = quietly(lambda: inspect.signature(loss).parameters, {})
        config = {
            key: one.default
            for key, one in parameters.items()
            if one.default is not inspect.Parameter.empty
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


def metrics(model) -> list[str]:
    """Returns the names of the metrics that a model was compiled with."""
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

    compiled = getattr(model, "_compile_metrics", None) or getattr(
        model, "compiled_metrics", None
    )
    add(getattr(compiled, "_user_metrics", None))
    add(getattr(compiled, "_user_weighted_metrics", None))
    return names[:MOST_LAYERS]
