"""The same answer inside the step and on the host."""

import numpy as np
import pytest
import tensorflow as tf

from gradscope.schedule import NEVER, At, Every, Seconds
from gradscope.wrapping.steps import gate as gate_module
from gradscope.wrapping.steps.gate import Gate


@pytest.fixture
def clock(monkeypatch):
    """The time that gates see: set `clock.now`."""

    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(gate_module, "time", clock)
    return clock


def due(gate, step, name="record"):
    return bool(gate.due(name, tf.constant(step, tf.int64)))


@pytest.mark.parametrize("schedule", [Every(3, dense=2), At([0, 7]), NEVER])
def test_step_and_host_agree(schedule):
    gate = Gate(schedule, NEVER, "")
    assert not gate.by_time
    for step in range(10):
        expected = bool(schedule.due(step))
        assert due(gate, step) == gate.due_on_host(step) == expected


def test_a_part_is_due_once_since_each_due_step():
    gate = Gate(Every(10, dense=0), Every(20, dense=0), "")
    found = {(0,): [], (1, 2): []}
    histograms = []
    for step in range(50):
        part = (0,) if step % 2 == 0 else (1, 2)
        tensor = tf.constant(step, tf.int64)
        asked = bool(gate.due("record", tensor, part))
        assert asked == gate.due_on_host(step, part)
        if asked:
            found[part].append(step)
            gate.mark_recorded("record", tensor, part)
            gate.mark_recorded_on_host(step, part)
            if gate.due("histograms", tensor, part):
                histograms.append(step)
                gate.mark_recorded("histograms", tensor, part)
    assert found == {(0,): [0, 10, 20, 30, 40], (1, 2): [1, 11, 21, 31, 41]}
    assert histograms == [0, 1, 20, 21, 40, 41]


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_traced_step_stops_asking_when_the_gate_is_closed(jit_compile):
    gate = Gate(Every(1), Every(2, dense=0), "")

    @tf.function(jit_compile=jit_compile)
    def asked(step):
        return gate.due("record", step), gate.due("histograms", step)

    one = tf.constant(1, tf.int64)
    assert [bool(answer) for answer in asked(one)] == [True, False]
    assert [bool(answer) for answer in asked(one + 1)] == [True, True]
    gate.close()
    assert [bool(answer) for answer in asked(one + 1)] == [False, False]


def test_a_closed_gate_is_closed_on_the_host_too(clock):
    gate = Gate(Every(1) | Seconds(1), NEVER, "")
    gate.close()
    clock.now += 10
    assert not gate.due_on_host(0)


def test_the_first_step_is_due_by_time(clock):
    gate = Gate(Seconds(30), NEVER, "")
    assert gate.by_time
    assert due(gate, 17) and gate.due_on_host(17)


def test_a_request_by_time_is_answered_once(clock):
    gate = Gate(Seconds(30), NEVER, "")
    gate.clear_request("record")
    assert not due(gate, 1)
    clock.now += 29.5
    gate.tick()
    assert not due(gate, 2) and not gate.due_on_host(2)
    clock.now += 0.5
    gate.tick()
    assert due(gate, 3) and due(gate, 4)
    gate.clear_request("record")
    assert not due(gate, 5) and not gate.due_on_host(5)


def test_the_host_looks_at_the_clock_itself(clock):
    gate = Gate(Seconds(30), NEVER, "")
    gate.clear_request("record")
    clock.now += 30
    assert gate.due_on_host(1)
    assert due(gate, 1)


def test_either_steps_or_seconds_are_enough(clock):
    gate = Gate(Every(10, dense=0) | Seconds(30), NEVER, "")
    gate.clear_request("record")
    assert due(gate, 10) and not due(gate, 11)
    clock.now += 30
    assert gate.due_on_host(11)


def test_histograms_by_time_do_not_record_a_step_on_their_own(clock):
    gate = Gate(At([5]), Seconds(30), "")
    assert due(gate, 3, "histograms")
    assert not due(gate, 3) and not gate.due_on_host(3)
    assert due(gate, 5) and gate.due_on_host(5)


def test_an_answer_of_one_schedule_leaves_the_other_open(clock):
    gate = Gate(Seconds(10), Seconds(10), "")
    gate.clear_request("record")
    assert not due(gate, 0) and due(gate, 0, "histograms")


def test_an_answer_inside_a_traced_step_takes_the_request_back(clock):
    gate = Gate(Seconds(30), NEVER, "")

    @tf.function
    def step(number):
        answer = gate.due("record", number)
        if answer:
            gate.clear_request("record")
        return answer

    assert [bool(step(tf.constant(n, tf.int64))) for n in range(3)] == [
        True,
        False,
        False,
    ]


def test_schedules_by_step_have_nothing_to_take_back():
    gate = Gate(Every(1), Every(1), "")
    gate.tick()
    gate.clear_request("record")
    assert due(gate, 0)
    assert np.isinf(Every(1).seconds)
