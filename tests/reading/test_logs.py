"""What a `fit` logs at the end of an epoch, in the record."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import runs
import tensorflow as tf
import tf_keras
from plugin_client import BASE, client_of, loaded
from points import points
from training import BATCH, BATCHES, X, Y

import gradscope
from gradscope.format import epoch_logs, schema
from gradscope.format.epoch_logs import Log
from gradscope.reading import joining
from gradscope.recording import event_writer

NET = runs.network(2)


def network(library):
    return library.Sequential(
        [library.Input((12,)), library.layers.Dense(3, name="dense")]
    )


def fit(model, library, logdir, **options):
    """Returns the history of a `fit`, and what was recorded of it."""
    callback = gradscope.Callback(logdir, every=1, histograms=None)
    history = model.fit(
        X,
        Y,
        batch_size=BATCH,
        verbose=0,
        callbacks=[callback],
        **options,
    )
    return history.history, gradscope.read(logdir).logs


def compiled(library, **options):
    model = network(library)
    loss = library.losses.SparseCategoricalCrossentropy(from_logits=True)
    options = {"metrics": ["accuracy"], **options}
    model.compile(library.optimizers.SGD(0.1), loss, **options)
    return model


@pytest.mark.parametrize("library", [keras, tf_keras])
@pytest.mark.parametrize("options", [{}, {"run_eagerly": True}])
def test_the_logs_are_those_of_the_history(library, options, tmp_path):
    model = compiled(library, **options)
    history, told = fit(
        model, library, tmp_path, epochs=3, validation_data=(X, Y)
    )
    assert [log.epoch for log in told] == [0, 1, 2]
    assert [log.step for log in told] == [BATCHES, 2 * BATCHES, 3 * BATCHES]
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    for name, values in history.items():
        found = [log.values[name] for log in told]
        assert found == pytest.approx(values, rel=1e-6)


def test_a_second_fit_goes_on(tmp_path):
    model = compiled(keras)
    fit(model, keras, tmp_path, epochs=2)
    _, told = fit(model, keras, tmp_path)
    found = [(log.epoch, log.step // BATCHES) for log in told]
    assert found == [(0, 1), (1, 2), (0, 3)]


def test_logging_changes_no_bit(tmp_path):
    weights = []
    for logdir in (None, tmp_path):
        keras.utils.set_random_seed(0)
        model = compiled(keras)
        if logdir is None:
            model.fit(X, Y, batch_size=BATCH, epochs=2, verbose=0)
        else:
            fit(model, keras, logdir, epochs=2)
        weights.append(model.get_weights())
    for plain, observed in zip(*weights, strict=True):
        np.testing.assert_array_equal(plain, observed)


def test_only_numbers_are_logged():
    class Odd:
        def __array__(self, *arguments, **keywords):
            raise ArithmeticError("no array")

    values = {
        "loss": 0.5,
        "tensor": tf.constant(1.5),
        "count": np.int64(3),
        "nan": float("nan"),
        "matrix": np.ones([2, 2]),
        "text": "good",
        "none": None,
        "odd": Odd(),
        1: True,
    }
    found = epoch_logs.numbers(values)
    assert np.isnan(found.pop("nan"))
    assert found == {"loss": 0.5, "tensor": 1.5, "count": 3.0, "1": 1.0}
    assert epoch_logs.numbers(None) == {}


def test_a_failure_of_ours_ends_no_training(tmp_path, monkeypatch):
    def fails(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr(epoch_logs.Log, "__init__", fails)
    model = compiled(keras)
    with pytest.warns(gradscope.GradscopeWarning, match="disk full"):
        history, told = fit(model, keras, tmp_path, epochs=2)
    assert len(history["loss"]) == 2 and told == ()


def test_a_log_survives_json():
    log = Log(7, 2, {"loss": 0.5, "val_loss": float("inf")})
    assert json.loads(log.to_json())["logs"]["loss"] == 0.5
    assert Log.from_json(log.to_json().encode()) == log
    old = '{"epoch": 1, "step": 3, "logs": {}}'
    assert Log.from_json(old) == Log(3, 1, {})


@pytest.mark.parametrize(
    "text",
    [
        "",
        b"\xff",
        "[]",
        "{}",
        "[" * 100_000,
        '{"epoch": 0, "step": 1e999, "logs": {}}',
        '{"epoch": 0, "step": 1, "logs": []}',
        '{"epoch": 0, "step": 1, "logs": {"loss": "low"}}',
        '{"epoch": null, "step": 1, "logs": {}}',
    ],
)
def test_a_damaged_log_is_left_out(text):
    assert Log.from_json(text) is None
    good = Log(3, 0, {"loss": 1.0})
    assert epoch_logs.parse_logs([text, good.to_json()]) == (good,)


def with_logs(series, described, steps, level, start=0.0):
    """Adds a log at the end of each epoch to a run's series."""
    texts = [
        Log(step, epoch, {"loss": level}).to_json()
        for epoch, step in enumerate(steps)
    ]
    series[schema.tag("logs", described.id)] = [
        (step, start + n, text.encode())
        for n, (step, text) in enumerate(zip(steps, texts, strict=True))
    ]
    return series


def told(series):
    record = joining.from_series("run", series)
    return [(log.step, log.values["loss"]) for log in record.logs]


def test_an_old_run_has_none():
    assert joining.from_series("run", points([0, 1])).logs == ()


def test_epochs_that_were_made_again_are_told_once():
    series = with_logs(points(range(10)), NET, [4, 8, 6, 10], 1.0)
    assert [step for step, _ in told(series)] == [4, 6, 10]


def test_a_later_model_begins_where_the_logs_of_another_end():
    other = runs.network(1, name="new_{}")
    first = with_logs(points(range(10)), NET, [5, 8, 10], 1.0)
    second = with_logs(points([8, 9], other, start=100), other, [10], 2.0, 100)
    assert told(first | second) == [(5, 1.0), (8, 1.0), (10, 2.0)]


def test_models_that_take_turns_keep_all():
    other = runs.network(1, name="new_{}")
    first = with_logs(points([0, 1, 4, 5]), NET, [2, 6], 1.0)
    second = with_logs(
        points([2, 3, 6], other, start=0.5), other, [4, 7], 2.0, 0.5
    )
    assert told(first | second) == [(2, 1.0), (4, 2.0), (6, 1.0), (7, 2.0)]


def test_facts_of_the_last_model_lead():
    model = {"layers": [], "loss": None, "metrics": []}
    kernels = "dense_1/kernel", "dense_2/kernel"
    old = dataclasses.replace(NET, model=model, linear=(kernels,))
    new = runs.network(2, name="new_{}")
    new = dataclasses.replace(new, linear=(("new_1/kernel", "new_2/kernel"),))
    series = points([0, 1], old) | points([2, 3], new, start=10)
    joined = joining.from_series("run", series).schema
    assert joined.linear == (("new_1/kernel", "new_2/kernel"), kernels)
    assert joined.model == model
    # Of the very same layers the last word counts.
    wider = runs.network(2, width=64)
    series = points([0, 1], old) | points([2, 3], wider, start=10)
    assert joining.from_series("run", series).schema.linear == ()


@pytest.mark.parametrize("provider", ["python", "rust"])
def test_the_plugin_reads_a_run_with_many_logs(provider, tmp_path):
    file = event_writer.EventWriter(str(tmp_path / "run" / schema.DIRECTORY))
    matrix = runs.statistics(np.ones([1, 4]))[0]
    run = np.ones([1, len(schema.RUN_COLUMNS)])
    for step in range(50):
        values = [
            event_writer.family_value("variables", NET.id, matrix),
            event_writer.family_value("run", NET.id, run),
            event_writer.schema_value(NET),
            event_writer.logs_value(NET.id, Log(step, step, {"loss": 1.0})),
        ]
        file.write(step, float(step), values)
    file.close()
    client = client_of(loaded(tmp_path, provider))
    (listed,) = client.get(f"{BASE}/runs").get_json()
    assert listed["steps"] == 50 and "error" not in listed
    assert len(gradscope.read(tmp_path / "run").logs) == 50
