"""What is written is read back, by us and by TensorBoard."""

import os

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing import (
    data_provider,
    event_accumulator,
    plugin_event_multiplexer,
)
from tensorboard.context import RequestContext
from tensorboard.data import provider
from tensorboard.util import tensor_util

import gradscope
from gradscope.format import histogram_buckets, json_tensor, schema
from gradscope.reading import event_files
from gradscope.recording import event_writer

KERNEL = schema.Variable("dense/kernel", "dense", (2, 2), "float32")
DESCRIBED = schema.Schema((KERNEL,), {"class": "SGD"})
ROWS = [[-0.5, 0.5, 3.0], [0.5, 1.5, 4.0]]


def values(step):
    """Returns new values of one step: a family, a histogram and a scalar."""
    return [
        event_writer.family_value(
            "variables",
            DESCRIBED.id,
            np.full([1, len(schema.VARIABLE_COLUMNS)], step + 0.5),
        ),
        event_writer.family_value(
            "run", DESCRIBED.id, np.full([1, len(schema.RUN_COLUMNS)], step)
        ),
        event_writer.schema_value(DESCRIBED),
        event_writer.histogram_value("gradients/dense/kernel", ROWS),
        event_writer.scalar_value(
            "ratios/dense/kernel/update_to_weight", step / 2
        ),
    ]


@pytest.fixture
def directory(tmp_path):
    """A run of steps 0, 1 and 5."""
    file = event_writer.EventWriter(str(tmp_path / "run" / schema.DIRECTORY))
    for step in (0, 1, 5):
        file.write(step, 1000.0 + step, values(step))
    file.close()
    return str(tmp_path)


def test_our_own_reader_gets_what_was_written(directory):
    record = gradscope.read(directory + "/run")
    assert record.schema == DESCRIBED
    assert record.steps.tolist() == [0, 1, 5]
    assert record.wall_times.tolist() == [1000, 1001, 1005]
    assert record["gradient_norm"].tolist() == [[0.5], [1.5], [5.5]]
    assert record["recorded"].tolist() == [0, 1, 5]


def test_each_value_says_what_it_is_and_the_first_of_a_tag_its_format(
    directory,
):
    (path,) = event_files.event_files(directory + "/run/gradscope")
    _, *events = event_files.events(path)
    classes = {"scalars": 1, "histograms": 2, "gradscope": 2}
    for index, event in enumerate(events):
        for value in event.summary.value:
            plugin = value.metadata.plugin_data
            assert value.metadata.data_class == classes[plugin.plugin_name]
            is_first = plugin.plugin_name == "gradscope" and not index
            assert plugin.content == (
                schema.plugin_content() if is_first else b""
            )


def test_a_tag_that_comes_later_has_its_format_then(tmp_path):
    file = event_writer.EventWriter(str(tmp_path))
    first, second, _, _, _ = values(0)
    file.write(0, 0.0, [first])
    file.write(1, 0.0, [*values(1)[:1], second])
    file.close()
    (path,) = event_files.event_files(str(tmp_path))
    last = list(event_files.events(path))[-1]
    contents = [v.metadata.plugin_data.content for v in last.summary.value]
    assert contents == [b"", schema.plugin_content()]


def test_a_write_after_close_starts_another_file_with_metadata(tmp_path):
    file = event_writer.EventWriter(str(tmp_path))
    for step in range(2):
        assert not file.has_tag("gradscope/variables/" + DESCRIBED.id)
        file.write(step, 0.0, values(step))
        assert file.has_tag("gradscope/variables/" + DESCRIBED.id)
        file.close()
    paths = event_files.event_files(str(tmp_path))
    assert len(paths) == 2
    for step, path in enumerate(paths):
        _, event = event_files.events(path)
        assert event.step == step
        contents = {v.metadata.plugin_data.content for v in event.summary.value}
        assert schema.plugin_content() in contents
    assert gradscope.read(tmp_path).steps.tolist() == [0, 1]


def test_two_writers_never_share_a_file(tmp_path):
    files = [event_writer.EventWriter(str(tmp_path)) for _ in range(2)]
    for step, file in enumerate(files):
        file.write(step, 0.0, values(step))
        file.close()
    assert len(event_files.event_files(str(tmp_path))) == 2


def test_without_an_event_there_is_no_file(tmp_path):
    file = event_writer.EventWriter(str(tmp_path / "run"))
    file.flush()
    file.close()
    assert not (tmp_path / "run").exists()


def test_what_is_flushed_can_be_read_before_the_end(tmp_path):
    file = event_writer.EventWriter(str(tmp_path))
    file.write(3, 0.0, values(3))
    file.flush()
    assert gradscope.read(tmp_path).steps.tolist() == [3]
    file.close()


def test_a_removed_file_is_noticed(tmp_path):
    file = event_writer.EventWriter(str(tmp_path))
    file.write(0, 0.0, values(0))
    file.flush()
    (path,) = event_files.event_files(str(tmp_path))
    os.remove(path)
    file.write(1, 0.0, values(1))
    with pytest.raises(FileNotFoundError, match=r"tfevents.* was removed"):
        file.flush()


def test_an_abandoned_file_is_followed_by_another(tmp_path):
    file = event_writer.EventWriter(str(tmp_path))
    file.write(0, 0.0, values(0))
    file.abandon()
    file.write(1, 0.0, values(1))
    file.close()
    assert len(event_files.event_files(str(tmp_path))) == 2


def test_failures_of_the_file_system_are_raised(tmp_path):
    (tmp_path / "file").touch()
    file = event_writer.EventWriter(str(tmp_path / "file" / "run"))
    with pytest.raises(tf.errors.OpError):
        file.write(0, 0.0, values(0))


def test_the_accumulator_of_tensorboard_reads_it(directory):
    read = event_accumulator.EventAccumulator(directory + "/run/gradscope")
    read.Reload()
    assert set(read.Tags()["tensors"]) == {v.tag for v in values(0)}
    for family in ("variables", "run"):
        tag = schema.tag(family, DESCRIBED.id)
        metadata = read.SummaryMetadata(tag)
        assert metadata.plugin_data.plugin_name == "gradscope"
        assert metadata.plugin_data.content == schema.plugin_content()
        assert [event.step for event in read.Tensors(tag)] == [0, 1, 5]
    array = tensor_util.make_ndarray(
        read.Tensors(schema.tag("variables", DESCRIBED.id))[2].tensor_proto
    )
    np.testing.assert_array_equal(
        array, np.full([1, len(schema.VARIABLE_COLUMNS)], 5.5, np.float32)
    )
    text = tensor_util.make_ndarray(
        read.Tensors(schema.tag("schema", DESCRIBED.id))[0].tensor_proto
    )
    assert schema.Schema.from_json(json_tensor.to_text(text)) == DESCRIBED


@pytest.fixture
def tensorboard(directory):
    """TensorBoard's data provider of the run, and how it is asked."""
    multiplexer = plugin_event_multiplexer.EventMultiplexer()
    multiplexer.AddRunsFromDirectory(directory)
    multiplexer.Reload()
    source = data_provider.MultiplexerDataProvider(multiplexer, directory)

    def ask(method, plugin, **arguments):
        series = getattr(source, method)(
            RequestContext(),
            experiment_id="",
            plugin_name=plugin,
            run_tag_filter=provider.RunTagFilter(runs=["run/gradscope"]),
            **arguments,
        )
        return series["run/gradscope"]

    return ask


def test_tensorboard_shows_scalars(tensorboard):
    read = tensorboard("read_scalars", "scalars", downsample=100)
    (points,) = read.values()
    assert [(p.step, p.value) for p in points] == [(0, 0), (1, 0.5), (5, 2.5)]
    assert [p.wall_time for p in points] == [1000, 1001, 1005]


def test_tensorboard_shows_histograms(tensorboard):
    listed = tensorboard("list_tensors", "histograms")
    assert list(listed) == ["gradients/dense/kernel"]
    read = tensorboard("read_tensors", "histograms", downsample=100)
    (points,) = read.values()
    assert [p.numpy.tolist() for p in points] == [ROWS] * 3


def test_tensorboard_compresses_a_histogram_of_any_counts():
    from tensorboard.plugins.distribution import compressor

    for counts in (
        np.zeros(histogram_buckets.COUNT),
        np.ones(histogram_buckets.COUNT),
    ):
        (rows,) = histogram_buckets.tensorboard_rows(counts[np.newaxis])
        compressed = compressor.compress_histogram(rows)
        assert np.isfinite(compressed).all()


def test_tensorboard_lists_what_is_ours(tensorboard):
    listed = tensorboard("list_tensors", "gradscope")
    assert set(listed) == {
        schema.tag(name, DESCRIBED.id)
        for name in ("variables", "run", "schema")
    }
    for series in listed.values():
        assert series.max_step == 5
        assert series.plugin_content == schema.plugin_content()
