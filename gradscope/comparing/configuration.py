"""Settings that differ between the recorded configurations of two runs."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from gradscope.comparing.matching import match

if TYPE_CHECKING:
    from gradscope.format.schema import Schema


@dataclasses.dataclass(frozen=True)
class Setting:
    """A setting that differs between two runs.

    Attributes:
        where: `"optimizer"`, `"loss"`, or the name of a layer or variable.
        what: Path of the setting, as in `"config.momentum"`, or `"class"`.
        a: Its value in the first run, as JSON has it; None where the first
            run has no such setting.
        b: Its value in the second run.
    """

    where: str
    what: str
    a: object
    b: object


def settings(schema_a: Schema, schema_b: Schema) -> tuple[Setting, ...]:
    """List the settings of optimizer, loss and layers that differ.

    Args:
        schema_a: Schema of the first run.
        schema_b: Schema of the second run.
    """
    differing = _differing("optimizer", schema_a.optimizer, schema_b.optimizer)
    a, b = schema_a.model, schema_b.model
    if not a or not b:
        return tuple(differing)
    differing += _differing("loss", _nest(a["loss"]), _nest(b["loss"]))
    layers_a, layers_b = a["layers"], b["layers"]
    matching = match(*_keys(layers_a), *_keys(layers_b))
    for i, j in matching.pairs:
        configurations = [
            {k: layer[k] for k in ("class", "config")}
            for layer in (layers_a[i], layers_b[j])
        ]
        differing += _differing(layers_a[i]["name"], *configurations)
    for side, layers in enumerate((layers_a, layers_b)):
        for index in matching.unpaired(side, len(layers)):
            name, kind = layers[index]["name"], layers[index]["class"]
            values = (kind, None) if side == 0 else (None, kind)
            differing.append(Setting(name, "class", *values))
    return tuple(differing)


def _keys(layers: list[dict]) -> tuple[list, list]:
    # A wrapper and the layer inside of it may have the same name, and `match`
    # needs unique ones.
    counts: dict[str, int] = {}
    names = []
    for layer in layers:
        count = counts[layer["name"]] = counts.get(layer["name"], 0) + 1
        names.append(f"{layer['name']}\n{count}")
    return names, [layer["class"] for layer in layers]


def _nest(loss) -> dict:
    # A model with several outputs has a loss for each, by name or in a list.
    if isinstance(loss, dict):
        return loss
    return {} if loss is None else dict(enumerate(loss))


def _differing(where: str, a: dict, b: dict) -> list[Setting]:
    flat_a, flat_b = _flat(a), _flat(b)
    # Names are no settings: in a second run of the same process Keras continues
    # its count, and every default name is another.
    return [
        Setting(where, path, flat_a.get(path), flat_b.get(path))
        for path in dict.fromkeys((*flat_a, *flat_b))
        if flat_a.get(path) != flat_b.get(path)
        and path.rpartition(".")[2] != "name"
    ]


def _flat(nest: dict, path: str = "") -> dict[str, object]:
    values: dict[str, object] = {}
    for key, value in nest.items():
        if isinstance(value, dict):
            values |= _flat(value, f"{path}{key}.")
        else:
            values[f"{path}{key}"] = value
    return values
