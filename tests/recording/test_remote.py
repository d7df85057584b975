"""Logs in remote storage, through fsspec; here in the storage `memory://`."""

import itertools
import sys
import warnings

import fsspec
import keras
import numpy as np
import pytest
import tensorflow as tf

import gradscope
from gradscope.cli import watch
from gradscope.cli.main import main
from gradscope.errors import GradscopeWarning
from gradscope.format import schema
from gradscope.reading import event_files, read, storage
from gradscope.recording import event_writer, run_directory, tfrecord_files

_numbers = itertools.count()
KERNEL = schema.Variable("dense/kernel", "dense", (2, 2), "float32")
DESCRIBED = schema.Schema((KERNEL,))


@pytest.fixture
def url():
    """A new directory in memory."""
    return f"memory://bucket{next(_numbers)}/logs"


def train(logdir, steps=3, optimizer=None):
    optimizer = optimizer or keras.optimizers.SGD(0.1, name="sgd")
    gradscope.wrap(optimizer, logdir, every=1)
    (variable,) = getattr(optimizer, "_trainable_variables", None) or [
        keras.Variable([3.0, 4.0], name="weight")
    ]
    for _ in range(steps):
        optimizer.apply([tf.ones([2])], [variable])
    gradscope.unwrap(optimizer)


def value(step):
    matrix = np.full([1, len(schema.VARIABLE_COLUMNS)], step)
    return event_writer.family_value("variables", DESCRIBED.id, matrix)


def test_a_remote_record_is_the_same_as_a_local_one(url, tmp_path):
    for logdir in (url, str(tmp_path)):
        train(logdir)
    remote, local = gradscope.read(url), gradscope.read(tmp_path)
    assert remote.steps.tolist() == local.steps.tolist() == [0, 1, 2]
    for family, values in local.families.items():
        np.testing.assert_array_equal(remote.families[family], values)
    assert remote.schema == local.schema and not remote.damage
    assert gradscope.diagnose(url) == gradscope.diagnose(local)


def test_the_bytes_are_those_of_tensorflows_writer(url, tmp_path):
    for directory in (url, str(tmp_path)):
        file = tfrecord_files.create(f"{directory}/events.out.tfevents.1")
        for size in (0, 1, 100, 70_000):
            file.write(bytes(range(256)) * size)
        file.close()
    with storage.open_file(f"{url}/events.out.tfevents.1") as file:
        remote = file.read()
    assert remote == (tmp_path / "events.out.tfevents.1").read_bytes()


def test_a_training_that_begins_again_has_a_run_of_its_own(url):
    train(url)
    with pytest.warns(GradscopeWarning, match="recorded in .*run_2"):
        train(url, steps=2)
    assert gradscope.read(f"{url}/run_2").steps.tolist() == [0, 1]
    runs = [f"{url}/gradscope", f"{url}/run_2/gradscope"]
    assert read.runs_below(url) == runs
    with pytest.raises(ValueError, match="holds 2 runs"):
        gradscope.read(url.removesuffix("/logs"))


def test_a_training_that_continues_goes_on_in_its_run(url):
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build([keras.Variable([3.0, 4.0], name="weight")])
    for _ in range(2):
        train(url, steps=2, optimizer=optimizer)
    assert gradscope.read(url).steps.tolist() == [0, 1, 2, 3]
    assert len(event_files.event_files(f"{url}/gradscope")) == 2


def test_the_command_reads_remote_runs(url, capsys):
    train(url)
    assert main(["diagnose", url]) in (0, 1)
    assert url in capsys.readouterr().out
    assert main(["diagnose", f"{url}/nowhere"]) != 0
    assert "there is no directory" in capsys.readouterr().err


def test_a_file_is_uploaded_now_and_then_and_where_it_is_urgent(
    url, monkeypatch
):
    now = [100.0]
    monkeypatch.setattr(tfrecord_files.time, "monotonic", lambda: now[0])
    writer = event_writer.EventWriter(url)

    def count():
        (path,) = event_files.event_files(url)
        return len(list(event_files.events(path))) - 1

    writer.write(0, 0.0, [value(0), event_writer.schema_value(DESCRIBED)])
    assert writer.flush(urgent=False)
    assert count() == 1
    writer.write(1, 0.0, [value(1)])
    assert not writer.flush(urgent=False)
    assert count() == 1
    now[0] += tfrecord_files.PERIOD
    assert writer.flush(urgent=False)
    assert count() == 2
    writer.write(2, 0.0, [value(2)])
    assert writer.flush()
    assert count() == 3
    writer.write(3, 0.0, [value(3)])
    writer.close()
    assert gradscope.read(url).steps.tolist() == [0, 1, 2, 3]


def test_a_large_file_is_followed_by_another(url, monkeypatch):
    monkeypatch.setattr(tfrecord_files, "MOST_BYTES", 1000)
    writer = event_writer.EventWriter(url)
    for step in range(20):
        schema_value = [] if step else [event_writer.schema_value(DESCRIBED)]
        writer.write(step, 0.0, [value(step), *schema_value])
        writer.flush(urgent=False)
    writer.close()
    paths = event_files.event_files(url)
    assert len(paths) > 2
    assert all(storage.size(path) < 2000 for path in paths)
    assert gradscope.read(url).steps.tolist() == [*range(20)]


def test_storage_that_fails_costs_a_warning_and_not_the_training(
    url, monkeypatch
):
    memory, _ = fsspec.core.url_to_fs(url)

    def broken(path, content):
        raise OSError("no route to host")

    monkeypatch.setattr(type(memory), "pipe_file", staticmethod(broken))
    with pytest.warns(GradscopeWarning, match="cannot write to .*no route"):
        train(url)
    monkeypatch.undo()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(url)
    assert gradscope.read(url).steps.tolist() == [0, 1, 2]


def test_commands_read_a_remote_run(url, tmp_path, monkeypatch, capsys):
    train(url)

    def end(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(watch, "rest", end)
    assert main(["watch", url]) == 0
    assert "in 1 run" in capsys.readouterr().out
    path = tmp_path / "report.html"
    for logdir in (url, f"{url}/"):
        assert main(["report", logdir, "-o", str(path)]) == 0
        assert ": 1 run, all recorded steps" in capsys.readouterr().out
    assert main(["show", url, "--color", "never"]) == 0
    assert "logs: gradient norm" in capsys.readouterr().out


def test_remote_runs_are_compared(url, tmp_path, capsys):
    train(f"{url}/a")
    train(str(tmp_path))
    assert gradscope.compare(f"{url}/a", tmp_path).same_bits
    for other in (f"{url}/a", f"{url}/a/gradscope", str(tmp_path)):
        assert main(["compare", f"{url}/a", other, "--exit-code"]) == 0
        assert "the same bit for bit in 3" in capsys.readouterr().out
    assert main(["compare", f"{url}/a", f"{url}/nowhere"]) == 2
    assert f"no directory {url}/nowhere" in capsys.readouterr().err
    assert main(["compare", f"{url}/a", "nonsense://logs"]) == 2
    assert "does not know" in capsys.readouterr().err


@pytest.mark.parametrize(
    "logdir, error, message",
    [
        ("nonsense://logs", ValueError, "protocol that fsspec does not know"),
        ("s3://bucket/logs", ImportError, "needs another package"),
    ],
)
def test_a_url_that_cannot_be_opened_says_why(logdir, error, message):
    optimizer = keras.optimizers.SGD()
    with pytest.MonkeyPatch.context() as context:
        context.setitem(sys.modules, "s3fs", None)
        with pytest.raises(error, match=message):
            gradscope.wrap(optimizer, logdir)
        with pytest.raises(error, match=message):
            gradscope.read(logdir)
    assert "apply" not in vars(optimizer)


def test_without_fsspec_the_remedy_is_to_install_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    message = "'gs://bucket/logs' is remote storage, which needs the package"
    with pytest.raises(ImportError, match=message):
        gradscope.Callback("gs://bucket/logs") and gradscope.read(
            "gs://bucket/logs"
        )
    for command in ("diagnose", "watch"):  # which does not wait for it
        assert main([command, "gs://bucket/logs"]) == 2
        assert "pip install fsspec" in capsys.readouterr().err


def test_a_remote_directory_needs_no_lock(url):
    with run_directory.exclusive_choice(url):
        assert not storage.is_directory(url)
