"""Facts that a Keras model states about itself, as JSON: `Schema.model`.

{
    "layers": [{"name": "dense", "class": "Dense", "config": {"units": 3}}],
    "loss": {"class": "BinaryCrossentropy", "config": {"from_logits": true}},
    "metrics": ["accuracy"]
}

`layers` has the layers of the model and of its submodels in forward order. A
`name` is the name that the record's rows have; `config` has the options of
`LAYER` that the layer has. `is_initial` is there for a batch norm and for a
frozen layer, and says whether its statistics or weights were those of its
initializer when it was described; `untracked` lists variables that a layer
holds and Keras does not know, `[name, shape]` each. If a wrapper and its inner
layer have the same name, the inner layer comes last. `loss` is None for a model
without a loss, and a list for a model whose outputs have a loss each. The
`class` of a function is its name.

`gradscope.wrapping.forward.model_facts` writes this.
"""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any, TypeVar

_Json = TypeVar("_Json")

#: The options of a layer's configuration that are recorded.
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
    "mask_zero",
    "stateful",
    "return_sequences",
    "padding",
    "strides",
    "scale",
    "offset",
)

#: Most layers, characters of a text, items of a list, and levels of nesting
#: that are recorded.
MOST_LAYERS, MOST_TEXT, MOST_ITEMS, DEEPEST = 2000, 200, 50, 6


class _NotPlain(Exception):
    """A value that JSON cannot express, or that is too large."""


def json_values(
    mapping: Mapping[str, object], depth: int = DEEPEST
) -> dict[str, object]:
    """Select the items of a mapping that JSON can express."""
    values = {}
    for key, value in mapping.items():
        try:
            values[str(key)[:MOST_TEXT]] = _plain(value, depth)
        except _NotPlain:
            continue
    return values


def validate(model: Any) -> dict[str, Any]:
    """Validate the facts of a model that were read from a file.

    Raises:
        ValueError: If they do not have the form that is written.
    """
    if model == {}:
        return {}
    check_depth(model)
    _require(isinstance(model, dict), "`model`", model)
    layers, loss = model["layers"], model["loss"]
    _require(isinstance(layers, list), "`model.layers`", layers)
    losses = loss if isinstance(loss, list) else [loss]
    for part in (*layers, *(part for part in losses if part is not None)):
        _require(
            isinstance(part, dict)
            and isinstance(part["class"], str)
            and isinstance(part["config"], dict),
            "a part of `model`",
            part,
        )
    return {
        "layers": [{**layer, "name": str(layer["name"])} for layer in layers],
        "loss": loss,
        "metrics": list(map(str, model["metrics"])),
    }


def check_depth(value: _Json, depth: int = 100) -> _Json:
    """Check the nesting of a value that was read, and return the value.

    Values that are written are not nested deeply; one from a damaged file could
    exceed Python's recursion limit in a function that walks through it.

    Raises:
        ValueError: If the value is nested too deeply.
    """
    _require(depth > 0, "a part that is nested too deeply", "")
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            check_depth(part, depth - 1)
    return value


def _require(condition: bool, subject: str, value: object) -> None:
    if not condition:
        raise ValueError(f"{subject} is {str(value)[:MOST_TEXT]}")


def _plain(value: object, depth: int) -> object:
    """Convert a value to one that JSON can express."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value[:MOST_TEXT]
    # The scalars of numpy are such numbers, too.
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if not isinstance(value, list | tuple | Mapping):
        raise _NotPlain
    if not depth or len(value) > MOST_ITEMS:
        raise _NotPlain
    if isinstance(value, Mapping):
        return json_values(value, depth - 1)
    return [_plain(part, depth - 1) for part in value]
