"""Findings say no more than the record proves."""

import dataclasses

import numpy as np
import pytest
from model_runs import MSE, STUCK
from synthetic import kernel, network, record, since

import gradscope
from gradscope.format.schema import (
    Activation,
    Data,
    Schema,
    State,
    Wiring,
)


def only(run):
    (found,) = gradscope.diagnose(run)
    return found


@pytest.mark.parametrize(
    ("silent", "sentence"),
    [
        ((), "The other layers get a gradient."),
        ((1,), "Besides, `dense_1` gets no gradient; the other layers do."),
        ((1, 3, 4), "No other layer gets a gradient, whatever the"),
    ],
)
def test_zeros_name_the_layers_that_get_no_gradient(silent, sentence):
    zero = {"dense_2/kernel": 0.0}
    gradients = {f"dense_{n}/kernel": 0.0 for n in (2, *silent)}
    run = record(network(4), weight_norm=zero, gradient_norm=gradients)
    found = only(run)
    assert found.kind == "zero-init" and sentence in found.cause
    assert found.remedy.endswith("Biases may start at zero.")


def test_a_lag_of_batch_norm_is_told_of_the_end_with_possible_reasons():
    described = network(states=(State("bn", "batch_norm", 8, layer="bn"),))
    run = record(described, 600, mean_distance=5.0)
    found = only(run)
    assert found.kind == "batchnorm-statistics"
    assert found.steps == (540, 599) and found.what.startswith("At the end")
    assert found.cause.startswith("Possible reasons are")
    assert "batches of several kinds" in found.cause


def test_a_variable_without_a_gradient_explains_that_nothing_is_learned():
    names = ["dense_2/kernel", "dense_2/bias"]
    rows = tuple(Data(name) for name in ("input", "output", "target"))
    guessing = {
        "loss": np.full(200, 1.0),
        "data_mean": 0.0,
        "data_variation": 1.0,
    }
    described = network(data=rows, model=MSE)
    guess = only(record(described, 200, **guessing))
    assert guess.kind == "nothing-learned"
    assert "a part of the network that is not trained" in guess.cause
    found = only(
        record(
            described,
            200,
            gradient_missing=dict.fromkeys(names, 1.0),
            gradient_norm=dict.fromkeys(names, np.nan),
            **guessing,
        )
    )
    assert found.kind == "disconnected-variable"
    assert found.evidence["symptoms"] == ["nothing-learned"]
    assert found.what == (
        "No gradient of the loss reaches `dense_2/kernel` and `dense_2/bias`, "
        "so the optimizer does not change them"
    )


def test_a_relu_at_the_end_tells_what_its_zeros_mean():
    output = Activation("dense_3/relu", "relu", 10, rank=2, is_output=True)
    rows = tuple(Data(name) for name in ("input", "output", "target"))
    described = network(activations=(output,), data=rows, model=MSE)
    low = {"data_min": {"target": -1.5}, "zero_fraction": 0.6}
    alive = only(record(described, dead_fraction=0.0, **low))
    assert alive.cause.startswith("Targets go down to -1.5, and a ReLU gives")
    assert "raise" not in alive.cause
    dead = only(record(described, dead_fraction=0.5, **low))
    assert "50 % of the units were zero for all examples" in dead.cause


def lost(**more):
    nan = {"dense_1/kernel": since(40, 5, 0)}
    run = record(network(), gradient_nonfinite=nan, **more)
    return run, only(run)


def test_a_number_that_goes_up_and_down_did_not_stay_where_it_ended():
    loss = np.full(100, 8.0)
    loss[32:38] = [6.5, 9, 12.5, 7, 11, 8]
    _, found = lost(loss=loss)
    assert "the loss varied between 6.5 and 12.5" in found.cause
    assert found.remedy.endswith("restart from weights saved before this step.")


def test_a_nan_may_have_begun_in_a_step_that_was_not_recorded():
    run, found = lost()
    assert "became NaN in step 40" in found.what
    far = dataclasses.replace(run, steps=10 * run.steps)
    found = only(far)
    assert "is NaN in step 400" in found.what
    assert found.remedy.endswith("from weights saved before step 390.")


def test_no_weights_are_older_than_the_first_step():
    nan = {"dense_1/kernel": 5.0}
    found = only(record(network(), gradient_nonfinite=nan))
    assert "is NaN in step 0" in found.what
    assert found.remedy.endswith("start again from weights that are finite.")


def test_dead_units_may_be_revived_by_other_layers():
    relu = Activation("dense_2/relu", "relu", 64)
    dead = {"dead_fraction": 0.6}
    found = only(record(network(activations=(relu,)), **dead))
    assert found.what.endswith("no gradient reaches their own weights")
    assert "layers before this one that are trained" in found.cause
    assert "start the biases at zero" in found.remedy
    zero = {"dense_2/bias": np.linspace(0, 1, 100)}
    run = record(network(activations=(relu,)), weight_norm=zero, **dead)
    assert "biases" not in only(run).remedy


def test_units_are_dead_since_the_start_if_it_was_recorded():
    relu = Activation("dense_2/relu", "relu", 64)
    silent = {"dead_fraction": 0.6, "zero_fraction": 0.6}
    run = record(network(activations=(relu,)), **silent)
    assert "They were dead from the start on" in only(run).cause
    late = dataclasses.replace(run, steps=run.steps + 500)
    assert "They were dead from the first record on" in only(late).cause


@pytest.mark.parametrize("known", [True, False])
def test_units_with_equal_gradients_need_not_have_equal_weights(known):
    config = {"kernel_initializer": {"class_name": "Ones"}} if known else {}
    layer = {"name": "dense_2", "class": "Dense", "config": config}
    described = network(model={"layers": [layer], "loss": None})
    alike = {"gradient_unit_spread": {"dense_2/kernel": 0}}
    found = only(record(described, **alike))
    assert found.what.endswith(
        "the same gradient, so nothing makes them differ"
    )
    assert (
        "They start with equal weights, those of `Ones`" in found.cause
    ) == (known)
    assert ("whose outputs are only added up" in found.cause) != known


@pytest.mark.parametrize(
    ("rms", "sentence"),
    [(1.5, "all of about the same size"), (4.0, "it lets few units win")],
)
def test_a_softmax_between_layers_does_what_its_outputs_show(rms, sentence):
    hidden = Activation("x/softmax", "softmax", 64, rank=2)
    wiring = (Wiring("softmax_into", "x/softmax", "kernel"),)
    described = network(activations=(hidden,), wiring=wiring)
    run = record(described, activation_rms={"x/softmax": rms / 64})
    assert sentence in only(run).cause


@pytest.mark.parametrize(
    ("widths", "layer"), [((64, 1), "b"), ((1, 1), None), ((64, 2), None)]
)
def test_a_broadcast_names_a_layer_only_if_one_has_a_single_unit(widths, layer):
    kernels = [
        kernel(name, 64, width)
        for name, width in zip("ab", widths, strict=True)
    ]
    wiring = (Wiring("broadcast", "sub", "[32, 1] - [32]"),)
    described = Schema((*kernels, kernel("c", 64, 5)), {}, wiring=wiring)
    found = only(record(described))
    assert found.layer == layer
    assert "If the loss is a squared error of this table" in found.cause


def test_a_layer_may_write_to_its_weights_in_its_own_call():
    weights = np.where(np.arange(100) < 34, 1.0, 0.5)
    run = record(network(), weight_norm={"dense_1/kernel": weights})
    assert "the layer's own call" in only(run).cause


@pytest.mark.parametrize("is_output", [True, False])
def test_advice_on_a_softmax_of_one_unit_fits_its_place(is_output):
    inner = Activation("dense_2/softmax", "softmax", 1, is_output=is_output)
    output = Activation("dense_3/linear", "linear", 1, is_output=True)
    described = network(activations=(inner, output))
    remedy = only(record(described, loss=STUCK)).remedy
    assert ("For two classes" in remedy) == is_output
    assert ("Softmax(axis=1)" in remedy) != is_output
    unknown = network(
        activations=(dataclasses.replace(inner, is_output=False),)
    )
    remedy = only(record(unknown, loss=STUCK)).remedy
    assert "For two classes" in remedy and "axis=1" in remedy
