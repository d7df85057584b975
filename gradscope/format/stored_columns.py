"""Which columns of a family an event file has, and how the others follow.

Most bytes of a log are tables of variables. Some of their columns follow from
others, and some have the same value in nearly all steps. The former are left
out; the latter come last, and are left out where they have that value. So a
table in the file is `[rows, n]`, with the first n of `Schema.stored`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gradscope.format.columns import OCCASIONAL

if TYPE_CHECKING:
    from gradscope.format.schema import Schema

#: Columns that `derive` computes from others.
DERIVED = (
    "gradient_rms",
    "weight_rms",
    "gradient_to_weight_ratio",
    "update_to_weight_ratio",
)

#: From which it computes them.
_SOURCES = {"gradient_norm", "weight_norm", "update_norm", "gradient_size"}

#: Stands for the number of a variable's elements.
_SIZE = "size"

#: The value that a column has in most steps, for the columns that come last, in
#: this order: a column is left out only with all that come after it. A value
#: here stays for good, since there are files without these numbers.
_USUAL: dict[str, Any] = {
    "clipped_gradient_norm": np.nan,
    "gradient_size": _SIZE,
    "gradient_missing": 0.0,
    "gradient_nonfinite": 0.0,
    "activation_nonfinite": 0.0,
    "data_nonfinite": 0.0,
    "global_clipped_norm": np.nan,
    "loss_scale": np.nan,
    "skipped": np.nan,
    "dropped": 0.0,
    "histograms_dropped": 0.0,
}


def with_stored_columns(schema: Schema) -> Schema:
    """Choose the columns that the file has of each step, in their order."""
    order = {name: place for place, name in enumerate(_USUAL)}
    stored = {
        family: tuple(
            sorted(
                (name for name in columns if name not in DERIVED),
                key=lambda name: order.get(name, -1),
            )
        )
        for family, columns in schema.columns.items()
        if family not in OCCASIONAL
    }
    return dataclasses.replace(schema, stored=stored)


def validate(
    stored: Mapping[str, Sequence[str]], columns: Mapping[str, Sequence[str]]
) -> dict[str, tuple[str, ...]]:
    """Validate the stored columns of a schema that was read.

    Raises:
        ValueError: If other columns do not follow from them.
    """
    valid = {str(f): tuple(map(str, names)) for f, names in stored.items()}
    for family, names in valid.items():
        derived = set(columns[family]).difference(names)
        if sorted(columns[family]) != sorted([*names, *derived]) or (
            derived and not (derived <= {*DERIVED} and _SOURCES <= {*names})
        ):
            raise ValueError(f"stored columns of {family!r}: {names}")
    return valid


def pack(schema: Schema, family: str, table: np.ndarray) -> np.ndarray:
    """Select the columns of a step's table that the file needs.

    Args:
        schema: The schema of the file.
        family: The family of the table.
        table: `[rows, columns]`.

    Returns:
        float32 `[rows, n]`, at least one column.
    """
    with np.errstate(over="ignore"):  # values beyond float32 become infinite
        table = np.asarray(table, np.float32)
    if family not in schema.stored:
        return table
    names = schema.stored[family]
    table = table[:, _places(names, schema.columns[family])]
    usual = _usual_values(schema, family, names)
    count = len(names)
    while (
        count > 1
        and names[count - 1] in _USUAL
        and np.array_equal(table[:, count - 1], usual[:, count - 1], True)
    ):
        count -= 1
    return np.ascontiguousarray(table[:, :count])


def is_table(schema: Schema, family: str, value: Any) -> bool:
    """Test whether a value is the table of a step; a damaged one is not."""
    rows = len(schema.rows(family))
    shape: tuple[int, ...] = np.shape(value)
    names = schema.stored.get(family)
    if names is None:
        return shape == (rows, len(schema.columns[family]))
    return len(shape) == 2 and shape[0] == rows and 0 < shape[1] <= len(names)


def unpack(
    schema: Schema, family: str, tables: Sequence[np.ndarray]
) -> np.ndarray:
    """Compute all columns of T tables, float32 `[T, rows, columns]`."""
    columns = schema.columns[family]
    names = schema.stored.get(family, columns)
    shape = len(tables), len(schema.rows(family)), len(columns)
    numbers = np.empty(shape, np.float32)
    places = _places(names, columns)
    numbers[:, :, places] = _usual_values(schema, family, names)
    # One by one: `np.stack` of a large run holds the interpreter lock for so
    # long that other threads wait, and a cast would copy all values again.
    for target, table in zip(numbers, tables, strict=True):
        target[:, places[: table.shape[1]]] = table
    if family == "variables" and len(names) < len(columns):
        value = {name: numbers[:, :, i] for i, name in enumerate(columns)}
        sizes = np.array([v.size for v in schema.variables], np.float64)
        for name, derived in derive(value, sizes).items():
            if name not in names and name in columns:
                with np.errstate(over="ignore"):  # as `complete` does
                    numbers[:, :, columns.index(name)] = derived
    return numbers


def stack(
    schema: Schema, family: str, tables: Sequence[np.ndarray]
) -> np.ndarray:
    """Stack T tables as they are, float32 `[T, rows, n]`.

    The n columns are those of the widest one; others have usual values there.
    """
    names = schema.stored[family]
    width = max(table.shape[1] for table in tables)
    shape = len(tables), len(schema.rows(family)), width
    numbers = np.empty(shape, np.float32)
    if any(table.shape[1] < width for table in tables):
        numbers[:] = _usual_values(schema, family, names)[:, :width]
    # One by one, for the reason that `unpack` gives.
    for target, table in zip(numbers, tables, strict=True):
        target[:, : table.shape[1]] = table
    return numbers


def column(
    schema: Schema, family: str, stacked: np.ndarray, name: str
) -> np.ndarray:
    """Compute one column of stacked tables, to the same bits as `unpack`.

    Args:
        schema: The schema of the file.
        family: The family of the tables.
        stacked: `[T, rows, n]`, from `stack`.
        name: Name of the column.

    Returns:
        float32 `[T, rows]`, which may be a view that cannot be written to.
    """
    names = schema.stored[family]
    if name not in names:
        value = {n: column(schema, family, stacked, n) for n in _SOURCES}
        sizes = np.array([v.size for v in schema.variables], np.float64)
        with np.errstate(over="ignore"):  # as `complete` does
            return derive(value, sizes)[name].astype(np.float32)
    place = names.index(name)
    if place < stacked.shape[2]:
        return stacked[:, :, place]
    usual = _usual_values(schema, family, names)[:, place]
    return np.broadcast_to(usual, stacked.shape[:2])


def derive(
    value: Mapping[str, np.ndarray], sizes: np.ndarray
) -> dict[str, np.ndarray]:
    """Compute the columns `DERIVED` of variables, float64 `[..., V]`.

    Args:
        value: The other columns by name, `[..., V]`.
        sizes: Number of elements of the V variables.

    Examples:
        Four elements of norm 6 have an rms of 6 / √4.

        >>> names = "gradient_norm", "weight_norm", "update_norm"
        >>> value = {name: np.array([6.0]) for name in names}
        >>> value["gradient_size"] = np.array([4.0])
        >>> {n: float(v[0]) for n, v in derive(value, np.array([4])).items()}
        ... # doctest: +NORMALIZE_WHITESPACE
        {'gradient_rms': 3.0, 'weight_rms': 3.0,
         'gradient_to_weight_ratio': 1.0, 'update_to_weight_ratio': 1.0}
    """
    gradient, weight, update, count = (
        np.asarray(value[name], np.float64)
        for name in (
            "gradient_norm",
            "weight_norm",
            "update_norm",
            "gradient_size",
        )
    )
    with np.errstate(all="ignore"):
        columns = (
            gradient / np.sqrt(count),
            weight / np.sqrt(sizes),
            gradient / weight,
            update / weight,
        )
    return dict(zip(DERIVED, columns, strict=True))


def _places(names: Sequence[str], columns: Sequence[str]) -> list[int]:
    return [columns.index(name) for name in names]


def _usual_values(
    schema: Schema, family: str, names: Sequence[str]
) -> np.ndarray:
    """The usual value of each stored number, `[rows, names]`."""
    values = np.full((len(schema.rows(family)), len(names)), np.nan, np.float32)
    for place, name in enumerate(names):
        usual = _USUAL.get(name, np.nan)
        if usual is _SIZE:
            is_size = family == "variables"
            usual = [v.size for v in schema.variables] if is_size else np.nan
        values[:, place] = usual
    return values
