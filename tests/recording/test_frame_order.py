"""What is written under one tag rises, whoever writes it and whenever."""

import numpy as np
import pytest
from drains import append, network, new, steps_of_tags
from plugin_client import PROVIDERS, loaded, plugin_context
from tensorboard.data import provider as tensorboard_provider

import gradscope
from gradscope.format import schema
from gradscope.format.epoch_logs import Log
from gradscope.format.step_layout import HEADER
from gradscope.recording import (
    background,
    drain,
    event_writer,
    frame_order,
    tensorboard_tabs,
    timeline,
)


@pytest.fixture(autouse=True)
def by_hand(monkeypatch):
    """No thread drains: each test does it itself."""
    monkeypatch.setattr(background, "watch", lambda item: None)


def assert_rising(directory):
    of_tags, of_events = steps_of_tags(directory)
    for tag, steps in of_tags.items():
        assert steps == sorted(set(steps)), (tag, steps)
    assert of_events == sorted(of_events)
    return of_tags


def kept(logdir, provider, plugin, tag):
    """Returns the steps of a tag that TensorBoard shows."""
    read = "read_scalars" if plugin == "scalars" else "read_tensors"
    found = getattr(loaded(logdir, provider), read)(
        plugin_context(),
        experiment_id="",
        plugin_name=plugin,
        downsample=10**6,
        run_tag_filter=tensorboard_provider.RunTagFilter(tags=[tag]),
    )
    (tags,) = found.values()
    return [point.step for point in tags[tag]]


@pytest.fixture
def alternating(tmp_path):
    """A run of two drains that take turns, with logs, notes and findings."""
    file = event_writer.EventWriter(str(tmp_path / schema.DIRECTORY))
    older = new(file, network("a"))
    newer = new(file, network("a", "b"))
    append(older, 0, 2, 4)
    append(newer, 1, 3)
    older.drain()
    newer.write_epoch_log(Log(5, 0, {"loss": 1.0}))
    newer.write_note(5, lambda known: known.with_unordered_sums(("sum",)))
    append(newer, 5, 7)
    append(older, 6)
    newer.drain()
    newer.write_findings(8, "text", {"gradscope/errors": 1.0})
    append(older, 8)
    append(newer, 9)
    older.close()
    newer.close()
    return tmp_path


def test_drains_that_share_a_file_write_in_the_order_of_steps(alternating):
    of_tags = assert_rising(alternating / schema.DIRECTORY)
    assert of_tags["weights/a/kernel"] == list(range(10))
    assert of_tags["gradscope/learning_rate"] == list(range(10))
    record = gradscope.read(alternating)
    assert record.steps.tolist() == list(range(10))
    assert record.schema.unordered_sums == ("sum",)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_tensorboard_shows_all_that_was_written(alternating, provider):
    for plugin, tag in (
        ("histograms", "weights/a/kernel"),
        ("scalars", "gradscope/learning_rate"),
    ):
        assert kept(alternating, provider, plugin, tag) == list(range(10))


def test_a_frame_waits_for_those_that_may_come_before(tmp_path, monkeypatch):
    monkeypatch.setattr(drain, "PERIOD", -1)
    file = event_writer.EventWriter(str(tmp_path))
    first, second = new(file, network("a")), new(file, network("a", "b"))
    append(first, 0)
    append(second, 1, 3)  # 2 may be on its way
    first.tick()
    assert gradscope.read(tmp_path).steps.tolist() == [0]
    append(first, 2)
    second.tick()
    assert gradscope.read(tmp_path).steps.tolist() == [0, 1, 2]
    second.tick()  # nothing came
    assert gradscope.read(tmp_path).steps.tolist() == [0, 1, 2, 3]
    assert_rising(tmp_path)


def test_a_skipped_try_is_replaced_by_the_step_that_was_made(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(drain, "PERIOD", -1)
    records = new(event_writer.EventWriter(str(tmp_path)), network("a"))
    append(records, 0)
    append(records, 1, 1, skipped=True)
    records.tick()
    assert gradscope.read(tmp_path).steps.tolist() == [0]
    append(records, 1)
    records.tick()
    records.close()
    of_tags = assert_rising(tmp_path)
    assert of_tags["weights/a/kernel"] == [0, 1]
    record = gradscope.read(tmp_path)
    assert np.isfinite(record["gradient_norm"]).all()


def test_a_training_that_skips_for_ever_is_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(drain, "PERIOD", -1)
    records = new(event_writer.EventWriter(str(tmp_path)), network("a"))
    append(records, 0)
    for _ in range(2):
        append(records, 1, skipped=True)
        records.tick()
    assert gradscope.read(tmp_path).steps.tolist() == [0, 1]


def test_a_skipped_try_waits_beside_frames_of_another_ring(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(drain, "PERIOD", -1)
    file = event_writer.EventWriter(str(tmp_path))
    first, second = new(file, network("a")), new(file, network("a", "b"))
    append(first, 0)
    append(first, 2, skipped=True)
    append(second, 1)
    first.tick()
    assert gradscope.read(tmp_path).steps.tolist() == [0]
    first.close()
    second.close()
    assert gradscope.read(tmp_path).steps.tolist() == [0, 1, 2]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_restarted_training_replaces_what_it_makes_again(tmp_path, provider):
    file = event_writer.EventWriter(str(tmp_path / "run" / schema.DIRECTORY))
    records = new(file, network("a"))
    append(records, 0, 10, 20, 30)
    records.drain()
    append(records, 10, 20)  # a checkpoint was restored
    records.close()
    assert gradscope.read(tmp_path / "run").steps.tolist() == [0, 10, 20]
    found = kept(tmp_path, provider, "histograms", "weights/a/kernel")
    rust, python = [0, 10, 20], [0, 10, 20, 30, 10, 20]
    assert found == (rust if provider == "rust" else python)


def test_two_notes_of_one_step_come_before_the_next_step(tmp_path):
    records = new(event_writer.EventWriter(str(tmp_path)), network("a"))
    append(records, 0, 1)
    records.drain()
    for name in ("x", "y"):
        records.write_note(
            2, lambda known, name=name: known.with_unordered_sums((name,))
        )
        records.drain()
    append(records, 2, 3)
    records.close()
    of_tags, of_events = steps_of_tags(tmp_path)
    assert of_events == sorted(of_events)
    tag = f"gradscope/schema/{records.schema.id}"
    assert of_tags[tag] == [0, 2]
    assert of_tags[f"{tag}/2"] == [2]
    assert gradscope.read(tmp_path).schema.unordered_sums == ("x", "y")


def test_a_late_value_is_left_out_and_hides_nothing(tmp_path):
    file = event_writer.EventWriter(str(tmp_path))
    for step in (0, 10, 5, 10, 11):
        values = tensorboard_tabs.scalar_panels({"a": 1.0, f"b{step}": 1.0})
        file.write(step, 0.0, values)
    file.close()
    of_tags, _ = steps_of_tags(tmp_path)
    assert of_tags["a"] == [0, 10, 11]
    assert of_tags["b5"] == [5]


def test_after_a_restart_a_step_is_written_again(tmp_path):
    file = event_writer.EventWriter(str(tmp_path))
    for step, tag in ((0, "a"), (10, "a"), (20, "b")):
        file.write(step, 0.0, tensorboard_tabs.scalar_panels({tag: 1.0}))
    file.restart(10)
    again = tensorboard_tabs.scalar_panels({"a": 2.0, "b": 2.0})
    file.write(10, 0.0, again)
    file.close()
    of_tags, _ = steps_of_tags(tmp_path)
    assert of_tags == {"a": [0, 10, 10], "b": [20, 10]}


def frames_of(steps):
    """Returns frames of steps that were made."""
    return [(step, np.zeros(len(HEADER) + 1)) for step in steps]


@pytest.mark.parametrize(
    "steps, expected",
    [
        ([], [[]]),
        ([4, 5], [[4, 5]]),
        ([6, 4, 7, 5, 9], [[6, 4, 7, 5, 9]]),  # late
        ([10, 12, 11, 9, 13], [[10, 12, 11, 9, 13]]),
        ([9, 10, 29, 1, 4, 33], [[9, 10, 29, 1, 4, 33]]),
        ([5, 6, 4, 6], [[5, 6, 4, 6]]),
        ([2, 5, 6, 5, 7], [[2, 5, 6, 5, 7]]),  # of two threads that raced
        ([5, 6, 5, 6, 7], [[5, 6], [5, 6, 7]]),  # again
        ([5, 3, 4], [[5], [3, 4]]),  # again, from before
        ([50, 30], [[50], [30]]),
        ([1, 2, 3, 2, 3, 2, 3, 4], [[1, 2, 3], [2, 3], [2, 3, 4]]),
        ([*range(80), *range(9, 50)], [[*range(80)], [*range(9, 50)]]),
        ([*range(0, 80, 2), *range(9, 80, 2)], None),  # too many to be late
        ([3, 6, 5], [[3, 6, 5]]),
    ],
)
def test_frames_are_late_or_made_again(steps, expected):
    parts, waiting = timeline.Timeline().split(frames_of(steps))
    assert not waiting
    if expected is None:
        expected = [steps[:40], steps[40:]]
    assert [[step for step, _ in part] for part in parts] == expected


def test_steps_that_are_due_by_time_are_other_ones_when_made_again():
    steps_of_ring = timeline.Timeline(by_time=True)
    parts, _ = steps_of_ring.split(frames_of([10, 50, 33, 70]))
    assert [len(part) for part in parts] == [2, 2]


@pytest.mark.parametrize(
    "later, expected", [([8], [[3, 8]]), ([4, 5], [[], [3, 4, 5]])]
)
def test_frames_wait_once_for_those_that_follow(later, expected):
    steps_of_ring = timeline.Timeline()
    parts, waiting = steps_of_ring.split(frames_of([0, 3, 6, 3]), final=False)
    assert [len(part) for part in parts] == [3] and len(waiting) == 1
    parts, waiting = steps_of_ring.split(
        [*waiting, *frames_of(later)], waited=1, final=False
    )
    assert not waiting
    assert [[step for step, _ in part] for part in parts] == expected


def test_a_frame_that_comes_too_late_is_counted_and_hides_nothing(tmp_path):
    records = new(event_writer.EventWriter(str(tmp_path)), network("a"))
    append(records, 0, 2, 3)
    records.drain()
    append(records, 1, 5, 4)
    records.drain()
    assert records.dropped == 1
    append(records, 6)
    records.close()
    of_tags = assert_rising(tmp_path)
    assert of_tags["weights/a/kernel"] == [0, 2, 3, 4, 5, 6]
    assert gradscope.read(tmp_path).steps.tolist() == [0, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("skipped, lost", [(True, []), (False, [4, 4])])
def test_of_the_frames_of_one_step_the_last_remains(skipped, lost):
    numbers = np.nan if skipped else 1.0
    frames = [(4, np.full(len(HEADER) + 1, numbers)) for _ in range(3)]
    for number, (_, row) in enumerate(frames):
        row[0] = number
    frames = [(3, np.zeros(1)), *frames, (5, np.zeros(1))]
    made, steps_lost = frame_order.last_of_each_step(frames)
    assert [(step, row[0]) for step, row in made] == [(3, 0), (4, 2), (5, 0)]
    assert steps_lost == lost
