"""What a Keras model says of itself, as JSON: `Schema.model`.

{
    "layers": [{"name": "dense", "class": "Dense", "config": {"units": 3}}],
    "loss": {"class": "BinaryCrossentropy", "config": {"from_logits": true}},
    "metrics": ["accuracy"]
}

`layers` are those of the model and of the models inside of it, in forward
order; a `name` is that which the record's rows have, and `config` has those of
`LAYER` that the layer has. Where a wrapper and the layer inside have one name,
the inner one comes last. `loss` is None where there is none, and a list where
outputs have losses of their own; a function has its own name as `class`.

Writing is `gradscope.wrapping.forward.model_facts`; this needs no TensorFlow.
"""

from __future__ import annotations

import numbers
from collections.abc import Mapping

#: What is told of a layer's configuration.
LAYER = (
    "activation",
    "units",
    "filters",
    "rate",
    "momentum",
    "epsilon",
    "axis",
    "trainable",
    "use_bias",
    "kernel_initializer",
    "bias_initializer",
    "embeddings_initializer",
    "kernel_regularizer",
    "bias_regularizer",
    "activity_regularizer",
    "input_dim",
    "padding",
    "strides",
)

#: Layers, characters of a text, items of a list, and lists in lists that are
#: told of at most.
MOST_LAYERS, MOST_TEXT, MOST_ITEMS, DEEPEST = 2000, 200, 50, 6


class _NotPlain(Exception):
    """Something that cannot be JSON, or would be too much of it."""


def plain(mapping: Mapping, depth: int = DEEPEST) -> dict:
    """Returns what of a mapping can be JSON, without what cannot."""
    found = {}
    for key, value in mapping.items():
        try:
            found[str(key)[:MOST_TEXT]] = _plain(value, depth)
        except _NotPlain:
            continue
    return found


def checked(model) -> dict:
    """Returns what was read of a model, if it is what was written.

    Raises:
        ValueError: If it is not.
    """
    if model == {}:
        return {}
    shallow(model)
    _require(isinstance(model, dict), "`model`", model)
    layers, loss = model["layers"], model["loss"]
    _require(isinstance(layers, list), "`model.layers`", layers)
    losses = loss if isinstance(loss, list) else [loss]
    for part in (*layers, *(one for one in losses if one is not None)):
        _require(
            isinstance(part, dict)
            and isinstance(part["class"], str)
            and isinstance(part["config"], dict),
            "a part of `model`",
            part,
        )
    return {
        "layers": [{**one, "name": str(one["name"])} for one in layers],
        "loss": loss,
        "metrics": list(map(str, model["metrics"])),
    }


def shallow(value, depth: int = 100):
    """Returns what was read, if nothing in it is nested much deeper than what
    is written: whoever walks through it would reach the end of Python's stack.

    Raises:
        ValueError: If it is.
    """
    _require(depth > 0, "a part that is nested too deeply", "")
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            shallow(part, depth - 1)
    return value


def _require(condition: bool, what: str, value) -> None:
    if not condition:
        raise ValueError(f"{what} is {str(value)[:MOST_TEXT]}")


def _plain(value, depth: int):
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value[:MOST_TEXT]
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    is_nest = isinstance(value, list | tuple | Mapping)
    if not is_nest or not depth or len(value) > MOST_ITEMS:
        raise _NotPlain
    if isinstance(value, Mapping):
        return plain(value, depth - 1)
    return [_plain(part, depth - 1) for part in value]
