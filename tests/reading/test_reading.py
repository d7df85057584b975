"""From event files to a record."""

import os
import subprocess
import sys

import numpy as np
import pytest
import runs
from hypothesis import given
from hypothesis import strategies as st

import gradscope
from gradscope.format import schema
from gradscope.reading import event_files, read
from gradscope.recording import event_writer

NET = runs.network(2)


def write(logdir, steps, levels=0.1, described=NET, name="run"):
    gradients = np.full([len(steps), len(described.variables)], levels)
    numbers = runs.statistics(gradients)
    runs.write(logdir, name, described, steps, numbers)
    return os.path.join(logdir, name)


def test_a_record_has_what_was_written(tmp_path):
    record = gradscope.read(write(tmp_path, [0, 1, 10], [0.1, 0.2, 0.3, 0.4]))
    assert record.steps.tolist() == [0, 1, 10]
    assert record.steps.dtype == np.int64
    assert record.wall_times.tolist() == [1.7e9, 1.7e9 + 1, 1.7e9 + 10]
    assert record.variables == tuple(v.name for v in NET.variables)
    assert record.layers == ("dense_1", "dense_2")
    norms = record["gradient_norm"]
    assert norms.dtype == np.float32
    np.testing.assert_allclose(norms, [[0.1, 0.2, 0.3, 0.4]] * 3)
    assert record["recorded"].tolist() == [1, 2, 3]
    assert np.isnan(record["learning_rate"]).all()


def test_every_statistic_can_be_asked_for(tmp_path):
    record = gradscope.read(write(tmp_path, [0]))
    columns = (*schema.VARIABLE_COLUMNS, *schema.RUN_COLUMNS)
    assert record.statistics == columns
    assert all(len(record[name]) == 1 for name in columns)


def test_an_unknown_statistic_is_answered_with_all_of_them(tmp_path):
    record = gradscope.read(write(tmp_path, [0]))
    with pytest.raises(KeyError, match=r"no statistic 'norm' .* gradient_norm"):
        record["norm"]


def test_a_run_is_read_from_its_own_directory_too(tmp_path):
    run = write(tmp_path, [0])
    inner = os.path.join(run, schema.DIRECTORY)
    assert gradscope.read(inner).steps.tolist() == [0]
    os.rename(inner, tmp_path / "copied")
    assert gradscope.read(tmp_path / "copied").steps.tolist() == [0]


def test_event_files_of_others_beside_the_run_do_not_matter(tmp_path):
    run = write(tmp_path, [0])
    (tmp_path / "run" / "events.out.tfevents.1.other").touch()
    assert gradscope.read(run).steps.tolist() == [0]


def test_several_runs_are_listed(tmp_path):
    write(tmp_path, [0], name="a")
    write(tmp_path, [0], name="b")
    # TensorBoard's own callback writes here.
    (tmp_path / "events.out.tfevents.1.other").touch()
    with pytest.raises(ValueError, match=r"holds 2 runs, .*a/grad.*, .*b/grad"):
        gradscope.read(tmp_path)


def test_a_missing_directory_says_what_to_give(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no directory .*gone\. Give"):
        gradscope.read(tmp_path / "gone")


def test_an_empty_directory_has_nothing_recorded(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing was recorded in"):
        gradscope.read(tmp_path)


def test_a_run_without_a_whole_record_says_when_there_will_be_one(tmp_path):
    run = write(tmp_path, [0])
    (path,) = event_files.event_files(os.path.join(run, schema.DIRECTORY))
    os.truncate(path, os.path.getsize(path) - 1)
    with pytest.raises(FileNotFoundError, match="no complete record yet"):
        gradscope.read(run)


def test_a_run_of_a_newer_format_is_refused(tmp_path):
    runs.bad_schema(tmp_path, "newer")
    with pytest.raises(schema.SchemaError, match="upgrade gradscope"):
        gradscope.read(tmp_path / "newer")


def test_a_run_in_a_renamed_directory_is_found(tmp_path):
    write(tmp_path, [0])
    (tmp_path / "run" / "gradscope").rename(tmp_path / "copy")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "events.out.tfevents.1").write_bytes(b"other")
    assert read.runs_below(str(tmp_path)) == [str(tmp_path / "copy")]


def test_runs_below_finds_all_and_only_recorded_runs(tmp_path):
    write(tmp_path, [0], name="b/deep")
    write(tmp_path, [0], name="a")
    (tmp_path / "c" / schema.DIRECTORY).mkdir(parents=True)
    assert read.runs_below(str(tmp_path)) == [
        str(tmp_path / "a" / schema.DIRECTORY),
        str(tmp_path / "b/deep" / schema.DIRECTORY),
    ]


def test_a_restarted_run_continues_where_it_was_restarted(tmp_path):
    run = write(tmp_path, range(100), 0.1)
    write(tmp_path, range(50, 81), 0.2)
    record = gradscope.read(run)
    assert record.steps.tolist() == list(range(81))
    norms = record["gradient_norm"][:, 0]
    np.testing.assert_allclose(norms, [0.1] * 50 + [0.2] * 31, rtol=1e-6)


def test_reading_does_not_import_tensorflow(tmp_path):
    run = write(tmp_path, [0])
    code = (
        "import sys, gradscope; gradscope.read(sys.argv[1]); "
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, run]).returncode == 0


def test_a_damaged_tensor_is_left_out(tmp_path):
    file = event_writer.EventWriter(str(tmp_path))
    for step in range(3):
        value = event_writer.family_value(
            "variables", NET.id, np.ones([4, len(schema.VARIABLE_COLUMNS)])
        )
        if step == 1:
            # The first field of the tensor, after its key and length.
            dtype = value.tensor.replace(b"\x08\x01", b"\x08\x63", 1)
            value = value._replace(tensor=dtype)
        file.write(step, 0.0, [value, event_writer.schema_value(NET)])
    file.close()
    assert gradscope.read(tmp_path).steps.tolist() == [0, 2]


@given(st.integers(0, 2**32 - 1))
def test_flipped_bits_in_a_file_are_no_crash(tmp_path_factory, seed):
    random = np.random.default_rng(seed)
    directory = str(tmp_path_factory.mktemp("run"))
    file = event_writer.EventWriter(directory)
    for step in range(3):
        matrix = np.ones([4, len(schema.VARIABLE_COLUMNS)])
        values = [event_writer.family_value("variables", NET.id, matrix)]
        file.write(step, 0.0, [*values, event_writer.schema_value(NET)])
    file.close()
    (path,) = event_files.event_files(directory)
    with open(path, "rb+") as file:
        data = bytearray(file.read())
        for at in random.integers(0, len(data), 8):
            data[at] ^= 1 << random.integers(8)
        file.seek(0)
        file.write(data)
    try:
        assert isinstance(gradscope.read(directory), gradscope.Record)
    except (ValueError, FileNotFoundError) as error:
        assert str(error)
