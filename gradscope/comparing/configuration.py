"""What differs in the configuration of two runs, as far as they tell."""

from __future__ import annotations

import dataclasses

from gradscope.comparing.matching import match


@dataclasses.dataclass(frozen=True)
class Setting:
    """One thing that two runs were configured with differently.

    Attributes:
        where: `"optimizer"`, `"loss"`, or the name of a layer or variable.
        what: Path of the setting, as in `"config.momentum"`, or `"class"`.
        a: Its value in the first run, as JSON has it; None where the first
            run has no such setting.
        b: In the second.
    """

    where: str
    what: str
    a: object
    b: object


def settings(schema_a, schema_b) -> tuple[Setting, ...]:
    """Returns what differs: optimizer, loss and layers.

    Args:
        schema_a: `Schema` of one run.
        schema_b: Of the other.
    """
    found = _differing("optimizer", schema_a.optimizer, schema_b.optimizer)
    a, b = schema_a.model, schema_b.model
    if not a or not b:
        return tuple(found)
    found += _differing("loss", _nest(a["loss"]), _nest(b["loss"]))
    layers_a, layers_b = a["layers"], b["layers"]
    matching = match(*_keys(layers_a), *_keys(layers_b))
    for i, j in matching.pairs:
        own = [
            {k: layer[k] for k in ("class", "config")}
            for layer in (layers_a[i], layers_b[j])
        ]
        found += _differing(layers_a[i]["name"], *own)
    for side, layers in enumerate((layers_a, layers_b)):
        for index in matching.rest(side, len(layers)):
            one = layers[index]
            pair = (one["class"], None) if side == 0 else (None, one["class"])
            found.append(Setting(one["name"], "class", *pair))
    return tuple(found)


def _keys(layers: list[dict]) -> tuple[list, list]:
    # A wrapper and the layer inside of it may have one name.
    seen: dict[str, int] = {}
    names = []
    for layer in layers:
        count = seen[layer["name"]] = seen.get(layer["name"], 0) + 1
        names.append(f"{layer['name']}\n{count}")
    return names, [layer["class"] for layer in layers]


def _nest(loss) -> dict:
    if isinstance(loss, dict):
        return loss
    return {} if loss is None else dict(enumerate(loss))


def _differing(where: str, a: dict, b: dict) -> list[Setting]:
    flat_a, flat_b = _flat(a), _flat(b)
    return [
        Setting(where, path, flat_a.get(path), flat_b.get(path))
        for path in dict.fromkeys((*flat_a, *flat_b))
        if flat_a.get(path) != flat_b.get(path)
        and path.rpartition(".")[2] != "name"
    ]


def _flat(nest: dict, path: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in nest.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{path}{key}.")
        else:
            found[f"{path}{key}"] = value
    return found
