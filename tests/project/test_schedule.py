"""Schedules mean the same for an int, an array and a tensor."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given
from hypothesis import strategies as st

from gradscope.schedule import (
    NEVER,
    At,
    Either,
    Every,
    Schedule,
    Seconds,
    Thinning,
    schedule_of,
)

STEPS = np.arange(300)


def due_steps(schedule):
    return [int(step) for step in STEPS if schedule.due(int(step))]


def test_every_is_dense_at_the_start():
    expected = [*range(50), *range(50, 300, 10)]
    assert due_steps(Every(10)) == expected


def test_every_without_a_dense_start_is_sparse():
    assert due_steps(Every(100, dense=0)) == [0, 100, 200]


def test_at_is_exactly_the_given_steps():
    assert due_steps(At([200, 3, 3, 0])) == [0, 3, 200]


def test_a_range_of_steps_takes_few_operations():
    with tf.Graph().as_default() as graph:
        At(range(1000)).due(tf.compat.v1.placeholder(tf.int64, []))
    assert len(graph.get_operations()) < 20
    assert due_steps(At([*range(5, 9), *range(9, 12), 20])) == [
        *range(5, 12),
        20,
    ]


def test_a_union_is_due_when_either_is():
    assert due_steps(Every(100, dense=0) | At([7])) == [0, 7, 100, 200]


def test_thinning_doubles_its_distance_and_leaves_no_gap():
    assert due_steps(Thinning(10, first=4)) == [
        *(0, 10, 20, 30, 40, 60, 80, 120, 160, 240)
    ]
    steps = np.flatnonzero(Thinning(100).due(np.arange(1_000_000)))
    assert steps[:51].tolist() == [*range(0, 5001, 100)]
    assert len(steps) == 240
    distances = np.diff(steps)
    assert set(distances[1:] / distances[:-1]) == {1, 2}
    # The last point of any run is not far from its end.
    assert max(distances / steps[1:]) <= 1


@pytest.mark.parametrize(
    "first, message",
    [(5, "`first` must be an even number, got 5"), (0, "at least 2")],
)
def test_thinning_needs_an_even_number(first, message):
    with pytest.raises(ValueError, match=message):
        Thinning(10, first=first)


def test_never_is_never():
    assert due_steps(NEVER) == []


@given(
    st.sampled_from(
        [
            Every(10),
            Every(7, dense=0),
            Every(3, dense=2),
            At([0, 1, 2, 9, 30]),
            At([5]) | Every(20, dense=0),
            Thinning(1, first=4),
            Thinning(3, first=2),
            NEVER,
        ]
    ),
    st.integers(-1, 60),
    st.integers(1, 60),
)
@example(Thinning(3, first=2), 3, 2)  # 3 was due, and 6 is not yet
def test_due_since_is_whether_any_step_since_was_due(schedule, last, more):
    step = last + more
    expected = any(schedule.due(s) for s in range(last + 1, step + 1))
    assert bool(schedule.due_since(last, step)) == expected
    tensors = tf.constant(last, tf.int64), tf.constant(step, tf.int64)
    assert bool(schedule.due_since(*tensors)) == expected


def test_seconds_are_not_a_matter_of_steps():
    assert not Seconds(1).due_since(0, 100)
    assert due_steps(Seconds(1)) == []


def test_only_schedules_by_time_have_seconds():
    assert Every(10).seconds == At([1]).seconds == math.inf
    assert (Every(10) | Seconds(30) | Seconds(20)).seconds == 20


schedules = st.recursive(
    st.builds(Every, st.integers(1, 400), dense=st.integers(0, 60))
    | st.builds(At, st.lists(st.integers(0, 400), max_size=4)),
    lambda inner: st.builds(Either, inner, inner),
    max_leaves=3,
)


@given(schedules)
def test_int_array_and_tensor_agree(schedule):
    expected = [bool(schedule.due(int(step))) for step in STEPS]
    assert schedule.due(STEPS).tolist() == expected
    tensor = schedule.due(tf.constant(STEPS, tf.int64))
    assert tensor.dtype == tf.bool
    assert tensor.numpy().tolist() == expected


def test_steps_above_two_to_the_32_are_exact():
    assert Every(10).due(tf.constant(10**12, tf.int64))
    assert not Every(10).due(tf.constant(10**12 + 1, tf.int64))


def test_a_schedule_passes_as_it_is():
    assert schedule_of(NEVER, "every") is NEVER


@pytest.mark.parametrize("value", [7, np.int64(7), np.int32(7)])
def test_a_number_stands_for_every_so_many_steps(value):
    assert schedule_of(value, "every") == Every(7)
    assert schedule_of(value, "histograms", dense=1) == Every(7, dense=1)


@pytest.mark.parametrize("value", [0, -1, 1.5, 10.0, "10", None, True, [10]])
def test_what_is_no_number_of_steps_is_refused_by_name(value):
    message = "`every` must be a whole number of at least 1 or a gradscope"
    with pytest.raises(ValueError, match=message):
        schedule_of(value, "every")


@pytest.mark.parametrize("arguments", [(0,), (1.5,), (True,)])
def test_every_needs_a_positive_number(arguments):
    with pytest.raises(ValueError, match="`steps` must be a whole number"):
        Every(*arguments)


def test_a_dense_start_may_not_be_negative():
    with pytest.raises(ValueError, match=r"`dense` must .* at least 0"):
        Every(10, dense=-1)


@pytest.mark.parametrize("steps", [[-1], [1.5], "12"])
def test_at_needs_whole_steps(steps):
    with pytest.raises(ValueError, match=r"`steps` must .* at least 0"):
        At(steps)


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf, "30", None])
def test_seconds_need_a_positive_number(seconds):
    with pytest.raises(ValueError, match="`seconds` must be a positive number"):
        Seconds(seconds)


def test_only_schedules_can_be_united():
    with pytest.raises(TypeError, match="unsupported operand"):
        Every(10) | 5


def test_the_base_class_has_no_answer():
    with pytest.raises(NotImplementedError):
        Schedule().due(0)


def test_schedules_are_values():
    assert Every(10) == Every(10) and hash(At([1])) == hash(At((1,)))
    assert "10" in repr(Every(10))
