"""Two drains of one file, of a training that goes back to an earlier step.

Within a drain's period, that is: between two trainings, all is written.
"""

import itertools

import numpy as np
import pytest
from drains import append, network, new, steps_of_tags

import gradscope
from gradscope.format import schema
from gradscope.format.step_order import valid_indices
from gradscope.recording import (
    background,
    drain,
    event_writer,
    frame_order,
    host_ring,
)


@pytest.fixture(autouse=True)
def by_hand(monkeypatch):
    """No thread drains: each test does it itself, and finds all frames old."""
    monkeypatch.setattr(background, "watch", lambda item: None)
    monkeypatch.setattr(drain, "PERIOD", -1)


@pytest.fixture
def two(tmp_path):
    """Two drains of one file."""
    file = event_writer.EventWriter(str(tmp_path))
    return new(file, network("a")), new(file, network("a", "b"))


def orders():
    """Yields trainings that make steps 0 to 5, and some of them again: the
    steps in the order of their frames, and where a drain ticks."""
    for again in ((0, 1, 2, 3), (1, 2, 3), (2, 3)):
        steps = [0, 1, 2, 3, 4, 5, *again]
        for ticks in itertools.combinations(range(1, len(steps)), 2):
            yield steps, ticks
            # The second drain is fetched later than the first, and has more.
            # (Not at the restart, of which the first would know nothing.)
            late, at = list(steps), ticks[0]
            late[at - 1 : at + 1] = steps[at], steps[at - 1]
            if steps[at] == steps[at - 1] + 1 and steps[at] % 2 and at != 7:
                yield late, ticks


def test_frames_keep_their_order_whatever_a_drain_finds(tmp_path, monkeypatch):
    written = []

    def note(self, wall_time, step, row):
        self._last_step = self.file.last_step = step
        written.append((step, row[0]))

    monkeypatch.setattr(drain.Drain, "_write", note)
    described = network("a")
    count = 0
    for steps, ticks in orders():
        written.clear()
        file = event_writer.EventWriter(str(tmp_path))
        drains = [new(file, described) for _ in range(2)]
        for index, step in enumerate(steps):
            if index in ticks:
                drains[0].tick()
            drains[step % 2].ring.put(step, np.full(20, index), 0, np.add)
        drains[0].drain()
        for odd in (0, 1):  # steps of each drain
            indices = [i for step, i in written if step % 2 == odd]
            assert indices == sorted(indices), (steps, ticks)
        assert sorted(i for _, i in written) == [*range(len(steps))]
        shown = [written[i] for i in valid_indices([s for s, _ in written])]
        last = {step: i for i, step in enumerate(steps) if step <= 3}
        assert dict(shown) == last, (steps, ticks)
        count += 1
    assert count > 100


def test_a_round_ends_where_steps_are_made_again():
    for steps, expected in (
        ((6, 7), [[("a", 5), ("b", 6), ("b", 7)], [("a", 2)]]),
        ((3,), [[("a", 5)], [("a", 2), ("b", 3)]]),  # of after it alone
        ((), [[("a", 5)], [("a", 2)]]),
    ):
        rings = [
            ("a", [(5, np.zeros(9)), (2, np.zeros(9))]),
            ("b", [(n, np.zeros(9)) for n in steps]),
        ]
        rounds = frame_order.rounds(rings, last_step=4)
        assert [[(name, step) for name, (step, _) in r] for r in rounds] == (
            expected
        )


def test_a_step_made_again_has_its_own_histograms(tmp_path):
    records = new(
        event_writer.EventWriter(str(tmp_path / schema.DIRECTORY)), network("a")
    )
    append(records, 0, 1, 2, 0, 1)
    records.close()
    of_tags, _ = steps_of_tags(tmp_path / schema.DIRECTORY)
    assert of_tags["weights/a/kernel"] == [0, 1, 2, 0, 1]
    assert gradscope.read(tmp_path).steps.tolist() == [0, 1]


def test_no_later_step_is_written_before_a_try_that_waits(two, tmp_path):
    one, other = two
    append(one, 0)
    append(one, 2, skipped=True)
    append(other, 1, 3)
    one.tick()
    assert gradscope.read(tmp_path).steps.tolist() == [0]
    append(one, 2)
    one.close()
    other.close()
    of_tags, of_events = steps_of_tags(tmp_path)
    assert of_tags["weights/a/kernel"] == of_events == [0, 1, 2, 3]


def test_a_try_waits_though_other_frames_have_waited(two, tmp_path):
    one, other = two
    append(one, 0, 2)
    append(other, 1)
    one.tick()  # step 2 waits
    append(one, 4, skipped=True)
    append(other, 3, 5)
    one.tick()
    append(one, 4)
    one.tick()
    other.close()
    one.close()
    of_tags, of_events = steps_of_tags(tmp_path)
    assert of_tags["gradscope/learning_rate"] == of_events == [*range(6)]


def test_no_later_step_is_written_before_one_that_waits_for_a_replica(
    two, tmp_path
):
    one, other = two
    one.add_replica(1, host_ring.HostRing(100))
    append(one, 0)
    append(other, 1)
    for each in (one, other, one, other):
        each.tick()
    _, of_events = steps_of_tags(tmp_path)
    assert of_events == [0, 1]
