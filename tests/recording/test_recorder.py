"""The ring: what was appended last, once, in order, and how much was lost."""

import threading

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from gradscope.recording import device_ring
from gradscope.recording.device_ring import Ring


def append(ring, step):
    step = tf.constant(step, tf.int64)
    ring.append(step, tf.fill([2], tf.cast(step, tf.float32)))


def test_rows_come_once_and_in_order():
    ring = Ring(4, 2, "")
    for step in (7, 3, 5):
        append(ring, step)
    assert ring.count_waiting() == 3
    steps, rows, dropped = ring.fetch()
    assert steps.tolist() == [7, 3, 5] and steps.dtype == np.int64
    assert rows.tolist() == [[7, 7], [3, 3], [5, 5]]
    assert dropped == 0
    assert ring.count_waiting() == 0
    steps, rows, dropped = ring.fetch()
    assert len(steps) == len(rows) == dropped == 0


@given(st.integers(1, 4), st.lists(st.integers(0, 11), max_size=5))
def test_overflow_drops_the_oldest_and_counts_them(size, batches):
    ring = Ring(size, 2, "")
    step = 0
    for batch in batches:
        for _ in range(batch):
            append(ring, step)
            step += 1
        steps, rows, dropped = ring.fetch()
        kept = min(batch, size)
        assert steps.tolist() == list(range(step - kept, step))
        assert rows.reshape(-1, 2)[:, 0].tolist() == steps.tolist()
        assert dropped == batch - kept


@pytest.mark.parametrize("step", [0, 2**20, 2**24 + 1, 2**40 + 12345])
def test_steps_above_float32_are_exact(step):
    ring = Ring(2, 2, "")
    append(ring, step)
    assert ring.fetch()[0].tolist() == [step]


def test_nan_and_infinity_are_kept():
    ring = Ring(1, 3, "")
    row = [np.nan, np.inf, -np.inf]
    ring.append(tf.constant(0, tf.int64), tf.constant(row))
    np.testing.assert_array_equal(ring.fetch()[1], [row])


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_traced_step_appends_each_time_it_runs(jit_compile):
    ring = Ring(3, 2, "")

    @tf.function(jit_compile=jit_compile)
    def step(number):
        ring.append(number, tf.fill([2], tf.cast(number, tf.float32)))

    for number in range(5):
        step(tf.constant(number, tf.int64))
    steps, rows, dropped = ring.fetch()
    assert steps.tolist() == [2, 3, 4]
    assert rows[:, 1].tolist() == [2, 3, 4]
    assert dropped == 2


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_loop_that_never_leaves_the_device_is_recorded(jit_compile):
    ring = Ring(10, 2, "")

    @tf.function(jit_compile=jit_compile)
    def steps(count):
        for number in tf.range(count):
            if number % 3 == 0:
                row = tf.fill([2], tf.cast(number, tf.float32))
                ring.append(tf.cast(number, tf.int64), row)

    steps(10)
    assert ring.fetch()[0].tolist() == [0, 3, 6, 9]


@pytest.mark.parametrize("jit_compile", [False, True])
def test_what_is_fetched_beside_a_running_step_is_whole(jit_compile):
    ring = Ring(8, 1000, "")

    @tf.function(jit_compile=jit_compile)
    def run(start):
        for number in tf.range(100, dtype=tf.int64):
            step = start + number
            ring.append(step, tf.fill([1000], tf.cast(step, tf.float32)))

    def train():
        for start in range(0, 3000, 100):
            run(tf.constant(start, tf.int64))

    run(tf.constant(0, tf.int64))
    ring.fetch()
    thread = threading.Thread(target=train)
    thread.start()
    fetched, lost, running = [], 0, True
    while running:
        running = thread.is_alive()
        steps, rows, dropped = ring.fetch()
        fetched += steps.tolist()
        lost += dropped
        for step, row in zip(steps, rows, strict=True):
            assert (row == step).all()
    thread.join()
    assert fetched == sorted(set(fetched))
    assert fetched[-8:] == list(range(2992, 3000))
    assert len(fetched) + lost == 3000


def test_a_row_that_is_overwritten_while_it_is_fetched_is_dropped(monkeypatch):
    ring = Ring(3, 2, "")
    for step in range(4):
        append(ring, step)
    gather = tf.gather

    def slow_gather(*arguments):
        rows = gather(*arguments)
        append(ring, 4)  # where step 0 was; step 1 may be next
        return rows

    monkeypatch.setattr(device_ring.tf, "gather", slow_gather)
    steps, _, dropped = ring.fetch()
    assert (steps.tolist(), dropped) == ([2, 3], 2)
    monkeypatch.undo()
    steps, _, dropped = ring.fetch()
    assert (steps.tolist(), dropped) == ([4], 0)


def test_a_row_that_another_thread_overwrote_is_dropped_and_no_step(
    monkeypatch,
):
    ring = Ring(5, 2, "")
    append(ring, 0)
    scatter = tf.raw_ops.ResourceScatterUpdate

    def append_meanwhile(**arguments):
        monkeypatch.undo()
        append(ring, 7)  # by a thread that has read the same count
        return scatter(**arguments)

    monkeypatch.setattr(
        device_ring.tf.raw_ops, "ResourceScatterUpdate", append_meanwhile
    )
    append(ring, 6)
    for step in (8, 9):
        append(ring, step)
    steps, rows, dropped = ring.fetch()
    assert (steps.tolist(), dropped) == ([0, 6, 8, 9], 1)
    assert (rows[1] == 6).all()


def test_what_was_overwritten_more_than_once_is_counted_once(monkeypatch):
    ring = Ring(2, 2, "")
    for step in range(2):
        append(ring, step)
    gather = tf.gather

    def slow_gather(*arguments):
        rows = gather(*arguments)
        for step in range(2, 12):
            append(ring, step)
        return rows

    monkeypatch.setattr(device_ring.tf, "gather", slow_gather)
    steps, rows, dropped = ring.fetch()
    assert (len(steps), len(rows), dropped) == (0, 0, 2)
    monkeypatch.undo()
    steps, _, dropped = ring.fetch()
    assert (steps.tolist(), dropped) == ([10, 11], 8)


@pytest.mark.parametrize(
    "width, rows",
    [
        (1, device_ring.MAX_ROWS),
        (2**30, device_ring.MIN_ROWS),
        (2**14 - 3, 256),
    ],
)
def test_a_ring_takes_what_memory_allows(monkeypatch, width, rows):
    monkeypatch.setattr(device_ring, "Ring", lambda *arguments: arguments)
    assert device_ring.ring(width, "/cpu:0") == (rows, width, "/cpu:0")
