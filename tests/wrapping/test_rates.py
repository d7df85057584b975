"""Optimizers with several learning rates: their records and findings."""

import csv

import keras
import numpy as np
import pytest
import tensorflow as tf
from synthetic import network, record
from thinning import thinned
from training import X, Y, loss

import gradscope
from gradscope.cli.main import main
from gradscope.diagnosis.view import View
from gradscope.format.schema import RATE_COLUMNS, Schema

optimizers = keras.optimizers
RATE = "variable_learning_rate"


def small_model():
    return keras.Sequential(
        [
            keras.Input((12,)),
            keras.layers.Dense(8, activation="tanh", name="first"),
            keras.layers.Dense(3, name="logits"),
        ]
    )


def parts(first, logits):
    return optimizers.MultiOptimizer(
        optimizers.OptimizerMap(first, {".*logits.*": logits})
    )


def halving():
    return optimizers.schedules.ExponentialDecay(0.4, 1, 0.5)


def steps(optimizer, how, model=None):
    """Makes three steps."""
    model = model or small_model()
    if how == "fit":
        model.compile(optimizer, loss(), jit_compile=False)
        model.fit(X[:48], Y[:48], batch_size=16, verbose=0)
        return
    if how == "xla":
        model.compile(optimizer, loss(), jit_compile=True)
        model.fit(X[:48], Y[:48], batch_size=16, verbose=0)
        return

    def step():
        with tf.GradientTape() as tape:
            value = loss()(Y[:16], model(X[:16], training=True))
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(value, variables), variables)

    step = tf.function(step) if how == "graph" else step
    for _ in range(3):
        step()


HOWS = ["eager", "graph", "fit", "xla"]


@pytest.mark.parametrize("how", thinned(HOWS, fast=["eager", "fit"]))
def test_each_variable_has_the_rate_of_the_part_that_updates_it(how, tmp_path):
    optimizer = parts(optimizers.SGD(halving()), optimizers.Adam(0.01))
    gradscope.wrap(optimizer, tmp_path, every=1)
    steps(optimizer, how)
    record = gradscope.read(tmp_path)
    expected = np.array([[0.4, 0.4, 0.01, 0.01]] * 3)
    expected[:, :2] *= np.array([[1], [0.5], [0.25]])
    np.testing.assert_allclose(record[RATE], expected, rtol=1e-6)
    assert np.isnan(record["learning_rate"]).all()
    assert [v.optimizer for v in record.schema.variables] == [
        "SGD",
        "SGD",
        "Adam",
        "Adam",
    ]


def test_a_rate_that_all_parts_have_is_that_of_the_step(tmp_path):
    optimizer = parts(optimizers.SGD(0.1), optimizers.Adam(0.1))
    gradscope.wrap(optimizer, tmp_path, every=1)
    steps(optimizer, "eager")
    record = gradscope.read(tmp_path)
    np.testing.assert_allclose(record["learning_rate"], [0.1] * 3)
    np.testing.assert_allclose(record[RATE], 0.1)


def test_a_part_that_updates_nothing_has_no_say(tmp_path):
    optimizer = optimizers.MultiOptimizer(
        optimizers.OptimizerMap(
            optimizers.SGD(9.0), {".*": optimizers.SGD(0.1)}
        )
    )
    gradscope.wrap(optimizer, tmp_path, every=1)
    steps(optimizer, "eager")
    np.testing.assert_allclose(gradscope.read(tmp_path)["learning_rate"], 0.1)


def test_a_function_that_makes_the_parts_is_called_once_for_each(tmp_path):
    calls = []

    def part(variable):
        calls.append(variable.path)
        return optimizers.SGD(0.1 * len(calls))

    optimizer = optimizers.MultiOptimizer(part)
    gradscope.wrap(optimizer, tmp_path, every=1)
    steps(optimizer, "eager")
    record = gradscope.read(tmp_path)
    assert len(calls) == 4
    np.testing.assert_allclose(record[RATE], [[0.1, 0.2, 0.3, 0.4]] * 3)
    assert [v.optimizer for v in record.schema.variables] == [
        "SGD",
        "SGD_1",
        "SGD_2",
        "SGD_3",
    ]


def test_a_part_whose_rate_is_a_function_of_the_users_has_none(tmp_path):
    calls = []

    def rate():
        calls.append(None)
        return 0.1

    optimizer = parts(optimizers.SGD(rate), optimizers.SGD(0.2))
    plain = parts(optimizers.SGD(rate), optimizers.SGD(0.2))
    steps(plain, "eager")
    expected = len(calls)
    gradscope.wrap(optimizer, tmp_path, every=1)
    steps(optimizer, "eager")
    rates = gradscope.read(tmp_path)[RATE]
    np.testing.assert_allclose(rates, [[np.nan, np.nan, 0.2, 0.2]] * 3)
    assert len(calls) == 2 * expected


@pytest.mark.parametrize(
    "how", thinned(["eager", "graph", "fit"], fast=["graph"])
)
def test_rates_are_recorded_inside_of_a_loss_scale(how, tmp_path):
    inner = parts(optimizers.SGD(0.1), optimizers.SGD(0.01))
    optimizer = optimizers.LossScaleOptimizer(inner, initial_scale=2.0)
    gradscope.wrap(optimizer, tmp_path, every=1)
    steps(optimizer, how)
    record = gradscope.read(tmp_path)
    np.testing.assert_allclose(record[RATE], [[0.1, 0.1, 0.01, 0.01]] * 3)


def test_what_muon_leaves_to_adam_has_a_rate_of_its_own(tmp_path):
    optimizer = optimizers.Muon(0.02, adam_lr_ratio=0.5)
    gradscope.wrap(optimizer, tmp_path, every=1)
    steps(optimizer, "eager")
    record = gradscope.read(tmp_path)
    np.testing.assert_allclose(record["learning_rate"], 0.02)
    np.testing.assert_allclose(record[RATE], [[0.02, 0.01, 0.02, 0.01]] * 3)


def test_an_optimizer_with_one_rate_has_no_such_column(tmp_path):
    optimizer = optimizers.SGD(0.1)
    gradscope.wrap(optimizer, tmp_path, every=1)
    steps(optimizer, "eager")
    record = gradscope.read(tmp_path)
    assert RATE not in record.statistics
    with pytest.raises(KeyError, match="no statistic 'variable_learning_rate'"):
        record[RATE]


@pytest.mark.parametrize("how", thinned(HOWS, fast=["eager", "fit"]))
def test_each_weight_is_the_same_bit_for_bit(how, tmp_path):
    def trained(observed):
        keras.utils.set_random_seed(1)
        model = small_model()
        optimizer = parts(optimizers.SGD(halving()), optimizers.Adam(0.01))
        if observed:
            gradscope.wrap(optimizer, tmp_path, every=1)
        steps(optimizer, how, model)
        return [*model.get_weights(), *(v.numpy() for v in optimizer.variables)]

    for plain, observed in zip(trained(False), trained(True), strict=True):
        np.testing.assert_array_equal(plain, observed)


def test_the_table_has_the_rates_of_layers(tmp_path):
    optimizer = parts(optimizers.SGD(0.1), optimizers.SGD(0.25))
    gradscope.wrap(optimizer, tmp_path / "run", every=1)
    steps(optimizer, "eager")
    table = tmp_path / "table.csv"
    arguments = ["export", str(tmp_path / "run"), "--csv", str(table)]
    main([*arguments, "--statistic", RATE, "--rows", "layers"])
    lines = list(csv.reader(table.open()))[1:3]
    assert lines == [["0", "first", RATE, "0.1"], ["0", "logits", RATE, "0.25"]]


def test_a_schema_with_parts_is_read_as_it_was_written():
    plain = network()
    schema = plain.with_parts([f"SGD_{i}" for i in range(len(plain.variables))])
    assert plain.with_parts([]) is plain
    assert schema.has_rates and not plain.has_rates
    assert schema.columns["variables"][-1:] == RATE_COLUMNS
    read = Schema.from_json(schema.to_json())
    assert read == schema and read.id == schema.id
    assert read.variables[1].optimizer == "SGD_1"


# Findings

SGD_THEN_ADAM = ["SGD"] * 4 + ["Adam"] * 2
STUCK = np.full(100, 2.3)


def run_of_parts(**numbers):
    """Make a record of three layers, the last of them with Adam."""
    rates = [0.1] * 4 + [0.01] * 2
    return record(
        network(optimizer="MultiOptimizer").with_parts(SGD_THEN_ADAM),
        learning_rate=np.nan,
        variable_learning_rate=rates,
        **numbers,
    )


def test_a_rate_that_is_too_large_is_named_with_its_part():
    large = {"dense_1/kernel": 0.3, "dense_2/kernel": 0.3}
    run = run_of_parts(update_to_weight_ratio=large, loss=STUCK)
    (finding,) = gradscope.diagnose(run)
    assert finding.kind == "learning-rate"
    assert "Try `learning_rate=0.001` for `SGD`, then" in finding.remedy
    assert "learning_rate" not in finding.evidence


def test_rates_that_are_all_too_small_are_named_with_each_part():
    run = run_of_parts(update_to_weight_ratio=1e-7, loss=STUCK)
    (finding,) = gradscope.diagnose(run)
    assert (
        "Try `learning_rate=100` for `Adam` and `learning_rate=1000` for "
        "`SGD`, then" in finding.remedy
    )


@pytest.mark.parametrize("ratio", [1e-9, 1.0])
def test_a_layer_with_a_rate_of_its_own_may_move_unlike_the_others(ratio):
    odd = {"dense_3/kernel": ratio}
    run = run_of_parts(update_to_weight_ratio=odd, loss=STUCK)
    assert gradscope.diagnose(run) == []


def test_a_multi_optimizer_is_adaptive_where_a_part_is():
    schema = network(optimizer="MultiOptimizer")
    assert not View(record(schema)).is_adaptive
    assert View(record(schema.with_parts(SGD_THEN_ADAM))).is_adaptive


def test_runs_that_differ_in_the_rate_of_one_part_part_there():
    slower = {"dense_3/kernel": 0.004}
    rates = {"dense_3/kernel": 0.005, "dense_3/bias": 0.005}
    a, b = run_of_parts(), run_of_parts(update_norm=slower)
    column = b.schema.columns["variables"].index(RATE)
    for name, rate in rates.items():
        b.families["variables"][:, b.variables.index(name), column] = rate
    parting = gradscope.compare(a, b).parting
    assert parting.variable == "dense_3/kernel"
    assert "learning rate is 0.01 in the first run and 0.005" in parting.cause


def test_a_run_with_parts_is_compared_with_one_without():
    compared = gradscope.compare(run_of_parts(), record(network()))
    assert compared.parting is None
