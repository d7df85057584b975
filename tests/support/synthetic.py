"""Records made by hand, for the tests of the rules: healthy but for what a
test says."""

from __future__ import annotations

import numpy as np
import runs

from gradscope.format.schema import FAMILIES, Schema, Variable
from gradscope.reading.record import Record

#: What a healthy run has in every cell.
HEALTHY = {
    "gradient_norm": 0.1,
    "gradient_rms": 0.01,
    "gradient_max": 0.05,
    "gradient_zero_fraction": 0.0,
    "gradient_nonfinite": 0.0,
    "gradient_unit_spread": 0.95,
    "gradient_missing": 0.0,
    "weight_norm": 8.0,
    "weight_rms": 0.1,
    "update_norm": 0.008,
    "gradient_to_weight_ratio": 0.0125,
    "update_to_weight_ratio": 0.001,
    "global_gradient_norm": 0.3,
    "learning_rate": 0.001,
    "dead_fraction": 0.02,
    "always_on_fraction": 0.0,
    "zero_fraction": 0.5,
    "saturated_fraction": 0.5,
    "activation_mean": 0.4,
    "activation_rms": 0.8,
    "activation_max": 3.0,
    "activation_nonfinite": 0.0,
    "dropout_rate": 0.3,
    "dropped_fraction": 0.3,
    "mean_distance": 0.1,
    "variance_distance": 0.1,
    "state_movement": 0.5,
    "training_mode": 1.0,
    "data_mean": 0.5,
    "data_rms": 1.0,
    "data_min": 0.0,
    "data_max": 1.0,
    "data_nonfinite": 0.0,
    "data_variation": 0.8,
    "data_zero_fraction": 0.0,
    "data_examples": 32.0,
}


def network(
    layers: int = 3, width: int = 64, optimizer="SGD", **more
) -> Schema:
    """Returns the schema of a multilayer perceptron `dense_1`, ..."""
    described = runs.network(layers, width)
    return Schema(described.variables, {"class": optimizer}, **more)


def record(
    schema: Schema, count: int = 100, rare=None, logs=(), **own
) -> Record:
    """Returns a healthy record with a falling loss.

    Args:
        schema: Of the record.
        count: How many steps; all are recorded.
        rare: As of `Record`.
        logs: As of `Record`.
        **own: By statistic what is to be instead, as `[T, rows]` or what can
            be spread to it; a dictionary sets single rows by name, as in
            `gradient_norm={"dense_1/kernel": 0}`.
    """
    families = {}
    for family in FAMILIES:
        columns = schema.columns[family]
        rows = schema.rows(family)
        values = np.full((count, len(rows), len(columns)), np.nan, np.float32)
        for index, name in enumerate(columns):
            column = values[:, :, index]
            column[:] = HEALTHY.get(name, np.nan)
            if name == "gradient_size":
                column[:] = [v.size for v in schema.variables]
            if name == "loss":
                column[:] = np.linspace(2, 0.2, count)[:, np.newaxis]
            value = own.pop(name, None)
            if isinstance(value, dict):
                for row, one in value.items():
                    column[:, rows.index(row)] = one
            elif value is not None:
                value = np.asarray(value, float)
                if value.ndim == 1 and family == "run":
                    value = value[:, np.newaxis]
                column[:] = value
        families[family] = values
    assert not own, own
    more = {"logs": tuple(logs)} if logs else {}
    return Record(
        "run",
        schema,
        np.arange(count),
        np.arange(count, dtype=float),
        families,
        rare or {},
        **more,
    )


def kernel(name: str, *shape: int) -> Variable:
    """Returns a variable `<name>/kernel`."""
    return Variable(f"{name}/kernel", name, shape, "float32")


def since(start: int, value: float, before: float, count: int = 100):
    """Returns a series that changes at a step."""
    series = np.full(count, before, float)
    series[start:] = value
    return series
