"""Layouts of rows; steps of several replicas; states that move."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradscope.format.schema import (
    DATA_COLUMNS,
    Activation,
    Data,
    Schema,
    State,
    Variable,
)
from gradscope.format.step_layout import (
    ACTIVATION_MEASURED,
    STATE_MEASURED,
    Layout,
)
from gradscope.recording import replica_merging
from gradscope.recording.state_movement import StateMovement

SCHEMA = Schema(
    (Variable("dense/kernel", "dense", (3, 2), "float32"),),
    activations=(
        Activation("dense/relu", "relu", 2),
        Activation("out/softmax", "softmax", 3),
    ),
    states=(State("drop", "dropout"), State("norm", "batch_norm", 4)),
    data=(Data("input", "float32", (3,)),),
)
LAYOUT = Layout.of(SCHEMA)


def test_a_row_is_split_into_what_it_was_put_together_from():
    row = np.arange(LAYOUT.width, dtype=np.float32)
    parts = LAYOUT.split(row)
    assert parts["activity"].shape == (2,)
    assert parts["moving"].shape == (4,)
    assert parts["variables"].shape[0] == 1
    joined = np.concatenate([part.ravel() for part in parts.values()])
    np.testing.assert_array_equal(joined, row)
    tail = LAYOUT.split_forward(row[-LAYOUT.forward_width :])
    for name, part in tail.items():
        np.testing.assert_array_equal(part, parts[name])


def told(y, x, loss, kept):
    """Returns what a replica tells of its outputs, inputs and dropout."""
    activation = {
        "zero_fraction": np.mean(y == 0),
        "saturated_fraction": np.mean(y < 0.5),
        "activation_mean": y.mean(),
        "activation_rms": np.sqrt(np.mean(y**2)),
        "activation_max": y.max(),
        "activation_nonfinite": 0,
        "examples": len(y),
    }
    data = {
        "data_mean": x.mean(),
        "data_rms": np.sqrt(np.mean(x**2)),
        "data_variation": np.sqrt(np.mean((x - x.mean(axis=0)) ** 2)),
        "data_min": x.min(),
        "data_max": x.max(),
        "data_nonfinite": 0,
        "data_zero_fraction": np.mean(x == 0),
        "data_examples": len(x),
    }
    state = dict.fromkeys(STATE_MEASURED, np.nan)
    state |= {"dropout_rate": 0.5, "dropped_fraction": np.mean(~kept)}
    rows = [activation[name] for name in ACTIVATION_MEASURED]
    return {
        "activations": np.array([rows]),
        "activity": np.mean(y > 0, axis=0),
        "state": np.array([[state[name] for name in STATE_MEASURED]]),
        "moving": np.zeros(0),
        "data": np.array([[data[name] for name in DATA_COLUMNS]]),
        "loss": np.array([loss]),
    }


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(0, 99))
def test_replicas_tell_together_what_one_would_tell(sizes, seed):
    random = np.random.default_rng(seed)
    total = sum(sizes)
    y = np.maximum(random.normal(size=[total, 2]), 0)
    x = random.normal(size=[total, 3])
    kept = random.random([total, 4]) < 0.5
    ends = np.cumsum(sizes)[:-1]
    parts = [
        told(a, b, 1 / len(sizes), c)
        for a, b, c in zip(
            np.split(y, ends),
            np.split(x, ends),
            np.split(kept, ends),
            strict=True,
        )
    ]
    found = replica_merging.merge(parts)
    expected = told(y, x, 1.0, kept)
    # Only how much examples differ is told by each replica of its own part.
    column = DATA_COLUMNS.index("data_variation")
    squares = [part["data"][0, column] ** 2 for part in parts]
    inside = np.sqrt(np.average(squares, weights=sizes))
    assert inside <= expected["data"][0, column] + 1e-9
    expected["data"][0, column] = inside
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, err_msg=name)


@pytest.mark.parametrize("with_activations", [True, False])
def test_a_replica_without_examples_says_nothing(with_activations):
    """As where the last batch is smaller than the number of replicas."""
    random = np.random.default_rng(0)
    y, x = np.maximum(random.normal(size=[5, 2]), 0), random.normal(size=[5, 3])
    some = told(y, x, 1.0, random.random([5, 4]) < 0.5)
    none = {name: np.full_like(part, np.nan) for name, part in some.items()}
    none["loss"][:] = 0.0
    for name in ("examples", "activation_nonfinite"):
        none["activations"][:, ACTIVATION_MEASURED.index(name)] = 0.0
    none["data"][:, DATA_COLUMNS.index("data_examples")] = 0.0
    if not with_activations:
        for part in (some, none):
            part["activations"] = part["activations"][:0]
    for parts in ([some, none], [none, some], [none, some, none]):
        found = replica_merging.merge(parts)
        for name, values in some.items():
            np.testing.assert_allclose(found[name], values, err_msg=name)
    nothing = replica_merging.merge([none, none])["data"][0]
    assert np.isnan(nothing[:-1]).all() and nothing[-1] == 0


def test_a_unit_that_fired_on_any_replica_has_fired():
    y = np.array([[0.0, 1.0]])
    x, kept = np.zeros([1, 1]), np.ones([1, 1], bool)
    parts = [told(y, x, 0, kept), told(y[:, ::-1], x, 0, kept)]
    assert (replica_merging.merge(parts)["activity"] == 0.5).all()


def test_batch_norm_has_moved_by_standard_deviations():
    moving = StateMovement(SCHEMA.states)
    start = np.array([0.0, 1.0, 4.0, 0.25])  # two means, two variances
    drop, norm = moving.movement(start)
    assert np.isnan(drop) and norm == 0
    drop, norm = moving.movement(start + np.array([2, 0, 9, 9]))
    assert norm == pytest.approx(np.sqrt(1 / 2), rel=1e-3)
    # Of a step that it was no part of nothing is known.
    assert np.isnan(moving.movement(np.full(4, np.nan))).all()
    assert moving.movement(start)[1] == 0


def test_another_state_has_moved_by_a_share_of_its_norm():
    moving = StateMovement((State("memory", "state", 2),))
    moving.movement(np.array([3.0, 4.0]))
    assert moving.movement(np.array([3.0, 5.0])) == pytest.approx(0.2)
