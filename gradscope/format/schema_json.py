"""Parses the JSON of a schema, which may be damaged, or of a newer version."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from gradscope.format import model_facts, stored_columns
from gradscope.format.rows import (
    Activation,
    Data,
    Operation,
    State,
    Variable,
    Wiring,
)

#: The version that is written; older ones can be read.
FORMAT_VERSION = 2

#: The exceptions that damaged text can cause; `int(inf)` is an OverflowError.
_DAMAGE = (
    AttributeError,
    KeyError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)

#: The largest size: float64 is exact up to this number.
_MOST = 2**53


class SchemaError(ValueError):
    """A schema in an event file that this version cannot read."""


def parse(text: str | bytes) -> dict[str, Any]:
    """Parse the JSON of a schema; return the attributes of a `Schema`.

    Raises:
        SchemaError: If the text is not a schema, or has a newer format.
    """
    try:
        data = json.loads(text)
        version = int(data["version"])
    except _DAMAGE as error:
        raise SchemaError(
            f"not a gradscope schema: {_briefly(error)}"
        ) from error
    _check_version(version)
    try:
        return _rows(data) | _facts(data)
    except _DAMAGE as error:
        raise SchemaError(
            f"damaged gradscope schema: {_briefly(error)}"
        ) from error


def _check_version(version: int) -> None:
    if version < 1:
        raise SchemaError(
            f"format {version!s:.30} does not exist: the schema is damaged "
            "and the run cannot be read."
        )
    if version > FORMAT_VERSION:
        raise SchemaError(
            f"the run was recorded in format {version}, but this gradscope "
            f"reads formats up to {FORMAT_VERSION}: upgrade gradscope."
        )


def _rows(data: dict[str, Any]) -> dict[str, Any]:
    """Parse the rows and columns."""
    columns = {
        str(family): tuple(map(str, names))
        for family, names in data["columns"].items()
    }
    return {
        "variables": tuple(_variable(v) for v in data["variables"]),
        "columns": columns,
        "activations": tuple(
            _activation(a) for a in data.get("activations", ())
        ),
        "states": tuple(_state(s) for s in data.get("states", ())),
        "data": tuple(_data(d) for d in data.get("data", ())),
        "operations": tuple(
            Operation(str(o["name"]), str(o["dtype"]))
            for o in data.get("operations", ())
        ),
        "stored": stored_columns.validate(data.get("stored", {}), columns),
    }


def _facts(data: dict[str, Any]) -> dict[str, Any]:
    """Parse the facts of the program."""
    return {
        "optimizer": model_facts.check_depth(dict(data.get("optimizer", {}))),
        "unseen": _names(data.get("unseen", ())),
        "model": model_facts.validate(data.get("model", {})),
        "linear": tuple((str(a), str(b)) for a, b in data.get("linear", ())),
        "wiring": tuple(_wiring(w) for w in data.get("wiring", ())),
        "unordered_sums": _names(data.get("unordered_sums", ())),
        "stale_layers": tuple(
            (str(name), bool(is_trained))
            for name, is_trained in data.get("stale_layers", ())
        ),
        "loss_is_known": _optional_bool(data.get("loss_is_known")),
    }


def _names(data: Iterable[Any]) -> tuple[str, ...]:
    return tuple(map(str, data))


def _optional_bool(data: Any) -> bool | None:
    return None if data is None else bool(data)


def _briefly(error: Exception) -> str:
    # The text of a UnicodeDecodeError has all bytes that were decoded.
    return repr(error)[:200]


def _variable(data: dict[str, Any]) -> Variable:
    return Variable(
        name=str(data["name"]),
        layer=str(data["layer"]),
        shape=_shape(data["shape"]),
        dtype=str(data["dtype"]),
        optimizer=str(data.get("optimizer", "")),
    )


def _activation(data: dict[str, Any]) -> Activation:
    return Activation(
        name=str(data["name"]),
        kind=str(data["kind"]),
        units=_integer(data["units"]),
        dtype=str(data.get("dtype", "float32")),
        rank=_integer(data.get("rank", 0)),
        axis=_integer(data.get("axis", -1), least=-1),
        is_output=bool(data.get("is_output", False)),
    )


def _state(data: dict[str, Any]) -> State:
    return State(
        name=str(data["name"]),
        kind=str(data["kind"]),
        size=_integer(data.get("size", 0)),
        calls=_integer(data.get("calls", 1)),
        layer=str(data.get("layer", "")),
    )


def _wiring(data: dict[str, Any]) -> Wiring:
    names = ("kind", "name", "detail")
    return Wiring(*(str(data[name]) for name in names))


def _data(data: dict[str, Any] | str) -> Data:
    if isinstance(data, str):  # older versions recorded only the name
        return Data(data)
    return Data(
        name=str(data["name"]),
        dtype=str(data["dtype"]),
        shape=_shape(data["shape"], least=-1),
    )


def _shape(sizes: list[Any], least: int = 0) -> tuple[int, ...]:
    shape = tuple(_integer(size, least) for size in sizes)
    _integer(math.prod(shape), least=-_MOST)
    return shape


def _integer(value: Any, least: int = 0) -> int:
    """Convert a value to an integer that float64 holds exactly."""
    number: int = int(value)
    if not least <= number <= _MOST:
        raise ValueError(f"{str(number)[:30]} is not between {least} and 2**53")
    return number
