"""What is said of a training after its first NaN: over, or damaged unseen."""

import numpy as np
import pytest
from synthetic import network, record, since

import gradscope
from gradscope.diagnosis.view import View
from gradscope.format.schema import Activation, Data

NAN = since(40, np.nan, 8.0)


def broken(activations=(), model=None, **more):
    """Returns the one finding of a run in which an input is NaN in step 39,
    and the weights of dense_1 are from step 40 on."""
    described = network(
        activations=tuple(activations),
        data=(Data("input"),),
        model=model,
    )
    missing = np.zeros(100)
    missing[39] = 1e-3
    numbers = {
        "data_nonfinite": {"input": missing},
        "weight_norm": {"dense_1/kernel": NAN},
    }
    (finding,) = gradscope.diagnose(record(described, **numbers | more))
    assert (finding.kind, finding.layer) == ("non-finite", "dense_1")
    assert finding.evidence["step"] == 39
    return finding


def relu(name, kind="relu"):
    return Activation(name, kind, 64)


def test_a_loss_that_is_nan_too_means_that_nothing_is_learned():
    finding = broken(loss=since(40, np.nan, 2.0))
    assert finding.what == (
        "The input `input` of the model has values that are NaN in step 39, "
        "and the network learns nothing from then on"
    )
    assert "layers" not in finding.evidence
    assert finding.remedy == (
        "Fix the cause, and restart from weights saved before this step."
    )


@pytest.mark.parametrize("kind", ["relu", "relu6"])
def test_a_relu_that_makes_zero_of_nan_hides_it_from_the_loss(kind):
    finding = broken([relu(f"dense_1/{kind}", kind), relu("dense_2/relu")])
    assert finding.what.endswith("NaN in step 39, and the loss hides it")
    assert "learns nothing" not in finding.message
    assert (
        "Weights of `dense_1` are NaN from then on, and the loss stays finite "
        "all the same: on this device, without XLA, a layer and its ReLU are a "
        "single operation, which turns NaN into 0. So the units of `dense_1` "
        "that read NaN are silent"
    ) in finding.cause
    assert (
        "Under XLA (which `fit` uses by itself on a GPU), with "
        "`run_eagerly=True`, or with another activation, such as `elu`, the "
        "loss is NaN."
    ) in finding.cause
    assert finding.evidence["layers"] == ["dense_1"]
    assert finding.evidence["loss"] == pytest.approx(0.2)


@pytest.mark.parametrize(
    "activations, nonfinite",
    [
        ([relu("dense_2/relu")], {}),  # of another layer
        ([relu("dense_1/elu", "elu")], {}),
        ([relu("dense_1/relu")], {"dense_1/relu": since(40, 0.5, 0.0)}),
        ([relu("dense_1/relu")], {"dense_1/relu": since(40, np.nan, 0.0)}),
        ([], {}),
    ],
)
def test_without_a_finite_relu_the_reason_is_left_open(activations, nonfinite):
    finding = broken(activations, activation_nonfinite=nonfinite)
    assert finding.what.endswith("NaN in step 39, and the loss hides it")
    assert "an operation between them and the loss may pass over" in (
        finding.cause
    )
    assert "ReLU" not in finding.cause


def test_a_relu_that_is_the_next_layer_hides_it_as_well():
    names = ["dense_1", "re_lu", "dense_2", "re_lu_1", "dense_3"]
    layers = [{"name": n, "class": "", "config": {}} for n in names]
    model = {"layers": layers, "loss": None}
    finding = broken([relu("re_lu/relu")], model=model)
    assert "the units of `dense_1` that read NaN are silent" in finding.cause
    finding = broken([relu("re_lu_1/relu")], model=model)
    assert "are silent" not in finding.cause


def test_weights_that_stay_finite_go_on_learning():
    finding = broken(weight_norm=8.0)
    assert finding.what.endswith("has values that are NaN in step 39")
    assert finding.cause.endswith(
        "The weights stayed finite, so training went on."
    )


def test_a_layer_that_took_no_part_since_says_nothing_of_its_weights():
    left_out = {"dense_1/kernel": since(41, np.nan, 0.0)}
    finding = broken(gradient_nonfinite=left_out)
    assert finding.evidence["layers"] == ["dense_1"]  # it was in step 40
    left_out = {"dense_1/kernel": since(40, np.nan, 0.0)}
    finding = broken(gradient_nonfinite=left_out)
    assert "layers" not in finding.evidence


def test_of_a_loss_that_is_not_known_nothing_is_said():
    described = network()
    run = record(
        described,
        weight_norm={"dense_1/kernel": NAN},
        gradient_nonfinite={"dense_1/kernel": since(39, 5, 0)},
        loss=np.full(100, np.nan),
    )
    (finding,) = gradscope.diagnose(run)
    assert finding.what.endswith("became NaN in step 39")
    assert "learns nothing" not in finding.message


def test_of_a_run_that_ends_with_the_nan_no_consequence_is_known():
    missing = np.zeros(100)
    missing[99] = 1e-3
    finding = gradscope.diagnose(
        record(
            network(data=(Data("input"),)), data_nonfinite={"input": missing}
        )
    )[0]
    assert finding.what.endswith("has values that are NaN in step 99")


def test_the_step_of_the_first_nan_is_no_finite_one():
    view = View(record(network(), loss=since(40, np.nan, 2.0)))
    assert view.is_finite.tolist() == [True] * 40 + [False] * 60
