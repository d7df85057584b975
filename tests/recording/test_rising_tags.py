"""The steps of each tag rise strictly, in whatever order the writer is used."""

import random
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from drains import append, network, new, shown_steps, steps_of_tags
from plugin_client import (
    PROVIDERS,
    client_of,
    get_matrix,
    loaded,
    plugin_context,
)
from tensorboard.data.provider import RunTagFilter

import gradscope
from gradscope import wrapping
from gradscope.format import schema
from gradscope.format.epoch_logs import Log
from gradscope.format.step_order import valid_points
from gradscope.reading import event_files
from gradscope.recording import (
    background,
    drain,
    event_writer,
    rising_tags,
)

#: Calls of each random training.
CALLS = 160


class Training:
    """Calls of a writer in random order, from several threads.

    Steps are made in order, one at a time, and none while rings are fetched:
    frames that come late may look like steps that are made again.

    Attributes:
        rates: The learning rate of each step, that of its last try.
        times_back: How often the training went back to an earlier step.
        lost: How many frames were not written.
    """

    def __init__(self, directory, seed, *, goes_back):
        self.directory = directory
        self._random = random.Random(seed)
        self._goes_back = goes_back
        self._lock = threading.Lock()
        self._serial = 0
        self.step = 0
        self.times_back = 0
        self.rates = {}
        self.lost = 0
        self._open()

    def _open(self):
        file = event_writer.EventWriter(str(self.directory))
        # Two have the same rows, as of threads whose first calls meet.
        layers = (("a",), ("a",), ("a", "b"))
        self.drains = [new(file, network(*names)) for names in layers]

    def run(self):
        calls = [
            *[self.make_step] * 12,
            *[self.skip] * 3,
            *[self.flush] * 2,
            *[self.tick] * 2,
            self.log,
            self.note,
            self.probe,
            self.find,
        ]
        if self._goes_back:
            calls += [self.resume, self.restore, self.race]
        chosen = self._random.choices(calls, k=CALLS)
        threads = [
            threading.Thread(target=self._call_all, args=(chosen[n::4],))
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.close()

    def _call_all(self, calls):
        for call in calls:
            call(self._random.choice(self.drains))

    def _append(self, records, *, skipped=False):
        self._serial += 1
        append(records, self.step, skipped=skipped, rate=self._serial)
        return self._serial

    def make_step(self, records):
        with self._lock:
            self.rates[self.step] = self._append(records)
            self.step += 1

    def skip(self, records):
        with self._lock:
            self.rates[self.step] = self._append(records, skipped=True)

    def race(self, records):
        """Two threads make a step, which looks like one that is made again."""
        with self._lock:
            self.times_back += 1
            for each in (records, self.drains[0]):
                self._append(each)
            self.step += 1

    def flush(self, records):
        with self._lock:
            records.drain()

    def tick(self, records):
        with self._lock:
            records.tick()

    def log(self, records):
        self.flush(records)
        records.write_epoch_log(Log(self.step, 0, {"loss": 1.0}))

    def note(self, records):
        name = str(self._random.random())
        self.flush(records)
        records.write_note(
            self.step, lambda known: known.with_unordered_sums((name,))
        )

    def probe(self, records):
        self.flush(records)
        records.write_probe(self.step, (1.0, 2.0))

    def find(self, records):
        text = self._random.choice(["", "text"])
        counts = {"gradscope/errors": float(self._random.randrange(2))}
        self.flush(records)
        records.write_findings(self.step, text, counts)

    def close(self):
        for each in self.drains:
            each.close()
        self.lost += sum(each.dropped for each in self.drains)

    def resume(self, _):
        """Another process goes on, maybe from an earlier step."""
        with self._lock:
            self.close()
            self._open()
            self._go_back(self._random.randrange(2))

    def restore(self, records):
        """The same process restores a checkpoint."""
        with self._lock:
            records.drain()
            self._go_back(self._random.randrange(1, 9))

    def _go_back(self, steps):
        self.step = max(0, self.step - steps)
        self.times_back += 1


@pytest.fixture(autouse=True)
def by_hand(monkeypatch):
    """No thread drains, and all frames are old for a tick."""
    monkeypatch.setattr(background, "watch", lambda item: None)
    monkeypatch.setattr(drain, "PERIOD", -1)


def events_of(path):
    return [
        (event.step, [value.tag for value in event.summary.value])
        for event in event_files.events(path)
        if event.summary.value
    ]


def assert_strict(directory, times_back):
    """Asserts that in each file the steps of events never fall, unless the
    training went back, and that those of each tag rise strictly between."""
    for path in event_files.event_files(str(directory)):
        last_event, of_tags = -1, {}
        for step, tags in events_of(path):
            if step < last_event:
                times_back -= 1
                of_tags = {t: s for t, s in of_tags.items() if s < step}
            last_event = step
            for tag in tags:
                assert of_tags.get(tag, -1) < step, (path, tag)
                of_tags[tag] = step
    assert times_back >= 0


def assert_shown(logdir, of_tags, record):
    """Asserts that both loaders show the points of a run that no later point
    replaces, and that the page has the steps of the record."""
    kept = {
        tag: [step for (step,) in valid_points([(step,) for step in steps])]
        for tag, steps in of_tags.items()
    }
    for provider, expected in (("python", of_tags), ("rust", kept)):
        source = loaded(logdir, provider)
        assert shown_steps(source, "run/gradscope") == expected
        steps, values = get_matrix(client_of(source), "run/gradscope")
        assert steps.tolist() == record.steps.tolist()
        np.testing.assert_array_equal(values.T, record["gradient_norm"])


@pytest.mark.parametrize("goes_back", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_steps_rise_strictly_and_both_loaders_show_them(
    tmp_path, seed, goes_back
):
    directory = tmp_path / "run" / schema.DIRECTORY
    training = Training(directory, seed, goes_back=goes_back)
    training.run()
    # Each ring finds for itself that the training went back.
    assert_strict(directory, training.times_back * len(training.drains))
    record = gradscope.read(directory)
    assert np.all(np.diff(record.steps) > 0) and len(record.steps) > 9
    if not goes_back:
        assert len(record.steps) + training.lost >= len(training.rates)
    if not goes_back and not training.lost:
        rates = zip(record.steps, record["learning_rate"], strict=True)
        assert dict(rates) == training.rates
    of_tags, _ = steps_of_tags(directory)
    assert_shown(tmp_path, of_tags, record)


def new_training(directory):
    return new(event_writer.EventWriter(str(directory)), network("a"))


def test_a_step_that_is_made_after_its_try_was_flushed_is_shown(tmp_path):
    directory = tmp_path / "run" / schema.DIRECTORY
    records = new_training(directory)
    append(records, 0)
    append(records, 1, skipped=True)
    records.drain()
    record = gradscope.read(directory)
    assert record.steps.tolist() == [0, 1]
    assert np.isnan(record["gradient_norm"][1]).all()
    append(records, 1)
    records.drain()  # alone: it is not late
    append(records, 2)
    records.close()
    record = gradscope.read(directory)
    assert record.steps.tolist() == [0, 1, 2] and not records.dropped
    assert np.isfinite(record["gradient_norm"]).all()
    of_tags, of_events = steps_of_tags(directory)
    tag = schema.tag("run", records.schema.id)
    assert of_tags[tag] == [0, 1, 2] and of_tags[f"{tag}/2"] == [1]
    assert of_events == [0, 1, 1, 2]
    assert_shown(tmp_path, of_tags, record)


def test_a_try_is_left_out_if_another_ring_has_its_step(tmp_path):
    file = event_writer.EventWriter(str(tmp_path))
    one, other = new(file, network("a", "b")), new(file, network("a"))
    append(one, 0)
    append(one, 1, skipped=True)
    append(other, 1)
    append(one, 2)
    one.close()
    other.close()
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == [0, 1, 2]
    assert np.isfinite(record["gradient_norm"][1, 0])
    of_tags, _ = steps_of_tags(tmp_path)
    assert of_tags[schema.tag("run", one.schema.id)] == [0, 2]
    assert one.dropped == other.dropped == 0


def test_two_rings_that_go_back_to_one_step_write_each_tag_once(tmp_path):
    file = event_writer.EventWriter(str(tmp_path))
    one, other = new(file, network("a")), new(file, network("a", "b"))
    append(one, 0, 1, 2, 3)
    append(other, 4)
    one.drain()
    append(one, 2)
    append(other, 2)
    one.close()
    other.close()
    of_tags, _ = steps_of_tags(tmp_path)
    assert of_tags["gradscope/learning_rate"] == [0, 1, 2, 3, 4, 2]


def test_many_tries_of_one_step_have_files_of_their_own(tmp_path):
    directory = tmp_path / "run" / schema.DIRECTORY
    records = new_training(directory)
    count = 2 * rising_tags.MOST + 1
    for number in range(count):
        append(records, 0, skipped=True, rate=number)
        records.drain()
        record = gradscope.read(directory)
        assert record["learning_rate"].tolist() == [number]
    records.close()
    assert len(event_files.event_files(str(directory))) == 3
    assert_strict(directory, 0)
    of_tags, _ = steps_of_tags(directory)
    assert_shown(tmp_path, of_tags, record)


def test_later_logs_notes_and_probes_of_one_step_are_read(tmp_path):
    records = new_training(tmp_path)
    append(records, 0)
    for number in range(3):
        records.drain()
        records.write_epoch_log(Log(1, number, {"loss": float(number)}))
        records.write_probe(1, (float(number), 0.0))
        records.write_note(
            1, lambda known, n=number: known.with_unordered_sums((str(n),))
        )
    records.close()
    assert_strict(tmp_path, 0)
    record = gradscope.read(tmp_path)
    assert [(log.step, log.epoch) for log in record.logs] == [(1, 2)]
    steps, losses = record.rare["probe"]
    assert steps.tolist() == [1] and losses[0, 0].tolist() == [2.0, 0.0]
    assert record.schema.unordered_sums == ("0", "1", "2")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_other_findings_of_one_step_replace_those_before(tmp_path, provider):
    directory = tmp_path / "run" / schema.DIRECTORY
    records = new_training(directory)
    append(records, 0)
    records.drain()
    for text, errors in (("one", 1.0), ("", 1.0), ("two", 2.0)):
        records.write_findings(1, text, {"gradscope/errors": errors})
    append(records, 1)
    records.close()
    assert_strict(directory, 0)
    source = loaded(tmp_path, provider)
    tag = "gradscope/errors"
    (tags,) = source.read_scalars(
        plugin_context(),
        experiment_id="",
        plugin_name="scalars",
        downsample=10,
        run_tag_filter=RunTagFilter(tags=[tag]),
    ).values()
    points = [(point.step, point.value) for point in tags[tag]]
    before = [(1, 1.0)] if provider == "python" else []
    assert points == [*before, (1, 2.0)]


def test_threads_whose_first_calls_meet_share_one_record(tmp_path):
    variable = tf.Variable([1.0, 2.0])
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build([variable])
    gradscope.wrap(optimizer, tmp_path, every=1)
    barrier = threading.Barrier(4)

    def call():
        barrier.wait()
        optimizer.apply([tf.ones([2])], [variable])

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrapping.seam_of(optimizer).observers.all) == 1
    gradscope.unwrap(optimizer)
    assert_strict(tmp_path / schema.DIRECTORY, 0)
