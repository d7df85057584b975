"""In how much memory the plugin has the records of runs."""

import numpy as np
import pytest
import runs
from plugin_client import CountingProvider, loaded, plugin_context

from benchmarks import plugin_logs
from gradscope.reading.read import read
from gradscope_plugin.runs import record_parts, run_data
from gradscope_plugin.runs.compact_record import CompactRecord, expand

STEPS, VARIABLES = 40, 30


@pytest.fixture(scope="module")
def logdir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("logs")
    plugin_logs.write(str(directory), VARIABLES, STEPS, 1, histograms=False)
    return directory


@pytest.fixture(scope="module")
def whole(logdir):
    """Returns a record as `gradscope.read` makes it."""
    return read(logdir / "run_00")


@pytest.fixture(scope="module")
def small(logdir):
    """Returns the same record as the plugin's cache has it."""
    reader = run_data.Runs(loaded(logdir, "python"))
    return reader.record(plugin_context(), "", "run_00/gradscope", "variables")


def test_a_compact_record_has_every_number_to_the_last_bit(whole, small):
    assert isinstance(small, CompactRecord)
    assert small.families["variables"].shape == (STEPS, VARIABLES, 6)
    assert small.statistics == whole.statistics
    for name in whole.statistics:
        np.testing.assert_array_equal(small[name], whole[name])
    for name in whole.schema.columns["variables"]:
        np.testing.assert_array_equal(
            small.by_layer(name), whole.by_layer(name)
        )
    assert type(expand(small)) is type(whole)
    table = expand(small).families["variables"]
    assert table.tobytes() == whole.families["variables"].tobytes()


def test_parts_of_a_compact_record_are_those_of_the_whole(whole, small):
    layer = whole.layers[3]

    def part(record):
        selected = record_parts.select_rows(record, layer)
        return record_parts.thin(record_parts.select_steps(selected, 10, 30), 5)

    for name in whole.schema.columns["variables"]:
        np.testing.assert_array_equal(part(small)[name], part(whole)[name])


def test_a_record_whose_file_has_all_columns_is_as_it_was(tmp_path):
    runs.healthy(tmp_path, layers=2, steps=5)
    reader = run_data.Runs(loaded(tmp_path, "python"))
    asked = plugin_context(), "", "healthy/gradscope", "variables"
    record = reader.record(*asked)
    assert not record.schema.stored and not isinstance(record, CompactRecord)
    assert expand(record) is record


def test_cached_records_and_previews_are_compact(tmp_path):
    plugin_logs.write(str(tmp_path), VARIABLES, 200, 1, histograms=False)
    reader = run_data.Runs(loaded(tmp_path, "python"))
    asked = plugin_context(), "", "run_00/gradscope"
    preview = reader.preview(*asked, "variables")
    record = reader.record(*asked, "variables")
    assert isinstance(preview, CompactRecord)
    assert isinstance(record, CompactRecord)
    numbers = sum(values.size for values in record.families.values())
    assert reader._records.bytes == 4 * numbers
    assert type(reader.full_record(*asked)) is type(expand(record))


def test_a_run_of_two_networks_is_read_as_a_whole(tmp_path):
    for layers, steps in ((2, range(5)), (3, range(5, 9))):
        numbers = runs.statistics(np.full((len(steps), 2 * layers), 0.5))
        runs.write(tmp_path, "a", runs.network(layers), steps, numbers)
    reader = run_data.Runs(CountingProvider(loaded(tmp_path, "python")))
    record = reader.record(plugin_context(), "", "a/gradscope", "variables")
    assert not isinstance(record, CompactRecord)
    assert len(record.steps) == 9
