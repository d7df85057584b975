"""What the file has of a table is enough for the whole table."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradscope.format import stored_columns
from gradscope.format.schema import (
    FAMILIES,
    RUN_COLUMNS,
    VARIABLE_COLUMNS,
    Data,
    Schema,
    SchemaError,
    Variable,
)
from gradscope.format.step_layout import MEASURED
from gradscope.measuring import statistics

VARIABLES = (
    Variable("dense/kernel", "dense", (3, 4), "float32"),
    Variable("dense/bias", "dense", (4,), "float32"),
)
PLAIN = Schema(VARIABLES, data=(Data("input"),))
DESCRIBED = stored_columns.with_stored_columns(PLAIN)
SIZES = np.array([v.size for v in VARIABLES])


def table(**changes):
    """Returns what a step's measuring makes of a usual step."""
    usual = {
        "gradient_norm": 0.5,
        "weight_norm": 3.0,
        "update_norm": 0.01,
        "gradient_size": SIZES,
        "clipped_gradient_norm": np.nan,
        "gradient_missing": 0.0,
        "gradient_nonfinite": 0.0,
    }
    numbers = np.ones([len(VARIABLES), len(MEASURED)], np.float32)
    for name, value in (usual | changes).items():
        numbers[:, MEASURED.index(name)] = value
    return statistics.complete(numbers, SIZES)


def unpacked(family, whole):
    packed = stored_columns.pack(DESCRIBED, family, whole)
    assert stored_columns.is_table(DESCRIBED, family, packed)
    (found,) = stored_columns.unpack(DESCRIBED, family, [packed])
    return packed, found


#: Columns that most steps leave out, the last one first.
SELDOM = (
    "gradient_nonfinite",
    "gradient_missing",
    "gradient_size",
    "clipped_gradient_norm",
)
ALWAYS = set(VARIABLE_COLUMNS).difference(SELDOM, stored_columns.DERIVED)


@pytest.mark.parametrize(
    "changes, seldom",
    [
        ({}, 0),
        ({"clipped_gradient_norm": 0.1}, 1),
        ({"gradient_size": [8, 4]}, 2),
        # The number next to a usual one is not usual.
        ({"gradient_size": [np.nextafter(np.float32(12), 13), 4]}, 2),
        ({"gradient_missing": [1, 0]}, 3),
        ({"gradient_nonfinite": 2}, 4),
        ({"gradient_norm": np.nan, "weight_norm": 0.0}, 0),
    ],
)
def test_a_step_has_only_the_columns_that_are_unusual(changes, seldom):
    whole = table(**changes)
    packed, found = unpacked("variables", whole)
    assert packed.shape == (2, len(ALWAYS) + seldom)
    np.testing.assert_array_equal(found, whole)  # to the last bit


numbers = st.sampled_from([0.0, 1.0, np.nan, np.inf, 12.0, 4.0, 1e-30, 3e38])


@given(st.lists(numbers, min_size=6, max_size=6), st.sampled_from([0, 1]))
def test_whatever_is_measured_comes_back_to_the_last_bit(values, row):
    names = (
        "clipped_gradient_norm",
        "gradient_norm",
        "gradient_size",
        "gradient_missing",
        "gradient_nonfinite",
        "weight_norm",
    )
    measured = np.ones([2, len(MEASURED)], np.float32)
    for name, value in zip(names, values, strict=True):
        measured[row, MEASURED.index(name)] = value
    whole = statistics.complete(measured, SIZES)
    np.testing.assert_array_equal(unpacked("variables", whole)[1], whole)


def test_the_numbers_of_a_step_come_back():
    run = {"learning_rate": 0.1, "loss": 2.0, "recorded": 3, "dropped": 0}
    run |= {"histograms_dropped": 0, "global_gradient_norm": 5.0}
    whole = np.array([[run.get(n, np.nan) for n in RUN_COLUMNS]], np.float32)
    packed, found = unpacked("run", whole)
    assert packed.tolist() == [[np.float32(0.1), 5.0, 2.0, 3.0]]
    np.testing.assert_array_equal(found, whole)


def test_tables_of_different_widths_are_one_array():
    tables = [table(), table(gradient_nonfinite=1)]
    packed = [stored_columns.pack(DESCRIBED, "variables", t) for t in tables]
    found = stored_columns.unpack(DESCRIBED, "variables", packed)
    assert found.shape == (2, 2, len(VARIABLE_COLUMNS))
    np.testing.assert_array_equal(found, tables)


@pytest.mark.parametrize(
    "changes, count",
    [({}, 6), ({"clipped_gradient_norm": 0.1}, 7), ({"gradient_size": 3}, 8)],
)
def test_stacked_tables_have_each_column_to_the_last_bit(changes, count):
    whole = np.stack([table(), table(**changes), table(weight_norm=0.0)])
    packed = [stored_columns.pack(DESCRIBED, "variables", t) for t in whole]
    stacked = stored_columns.stack(DESCRIBED, "variables", packed)
    assert stacked.shape == (3, 2, count)
    for place, name in enumerate(VARIABLE_COLUMNS):
        column = stored_columns.column(DESCRIBED, "variables", stacked, name)
        assert column.dtype == np.float32
        np.testing.assert_array_equal(column, whole[:, :, place])


def test_without_stored_columns_a_table_is_as_it_is():
    whole = table()
    packed = stored_columns.pack(PLAIN, "variables", whole)
    np.testing.assert_array_equal(packed, whole)
    assert stored_columns.is_table(PLAIN, "variables", whole)
    assert not stored_columns.is_table(PLAIN, "variables", whole[:, :5])
    (found,) = stored_columns.unpack(PLAIN, "variables", [whole])
    np.testing.assert_array_equal(found, whole)


TOO_MANY = len(ALWAYS) + len(SELDOM) + 1


@pytest.mark.parametrize(
    "shape", [(), (2,), (2, 0), (2, TOO_MANY), (3, 6), (2, 6, 1)]
)
def test_a_damaged_table_is_none(shape):
    array = np.zeros(shape, np.float32)
    assert not stored_columns.is_table(DESCRIBED, "variables", array)


def test_the_id_does_not_depend_on_what_is_stored():
    assert DESCRIBED.id == PLAIN.id
    assert DESCRIBED.columns == PLAIN.columns
    assert Schema.from_json(DESCRIBED.to_json()).stored == DESCRIBED.stored


def test_every_column_is_stored_or_follows():
    for family, columns in FAMILIES.items():
        derived = stored_columns.DERIVED if family == "variables" else ()
        assert {*DESCRIBED.stored[family], *derived} == {*columns}


@pytest.mark.parametrize(
    "stored",
    [
        {"variables": ["gradient_norm"]},
        {"variables": [*VARIABLE_COLUMNS, "more"]},
        {"variables": [*VARIABLE_COLUMNS, "gradient_norm"]},
        {"run": RUN_COLUMNS[1:]},
        {"nowhere": []},
        {"variables": 3},
        ["variables"],
    ],
)
def test_stored_columns_that_are_not_enough_are_damage(stored):
    text = json.dumps({**json.loads(PLAIN.to_json()), "stored": stored})
    with pytest.raises(SchemaError, match="damaged gradscope schema"):
        Schema.from_json(text)


def test_a_family_with_a_column_of_variables_is_read():
    columns = {**FAMILIES, "run": ("gradient_size",)}
    odd = dataclasses.replace(PLAIN, columns=columns)
    (found,) = stored_columns.unpack(odd, "run", [np.array([[3.0]])])
    assert found.tolist() == [[3.0]]
