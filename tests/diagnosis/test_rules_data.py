"""Rules about what goes in, what should come out, and how it is compared."""

import numpy as np
import pytest
from synthetic import network, record

import gradscope
from gradscope.format.epoch_logs import Log
from gradscope.format.schema import Activation, Data, Schema, State, Wiring

MSE = {"loss": {"class": "MeanSquaredError", "config": {}}}
DATA = tuple(
    Data(name, "float32", (1,)) for name in ("input", "output", "target")
)


def severities(run, **options):
    return [(f.kind, f.severity) for f in gradscope.diagnose(run, **options)]


def a_class_each(batches):
    """Returns the mean target of batches of one class."""
    return {"data_mean": {"target": batches}, "data_variation": {"target": 0}}


def test_batches_that_are_sorted_by_class():
    described = network(data=DATA, model=MSE)
    run = record(described, **a_class_each(np.repeat(range(5), 20)))
    (found,) = gradscope.diagnose(run)
    assert (found.kind, found.severity) == ("constant-labels", "warning")
    assert "In 100 % of the batches, all examples have the sam" in found.what
    assert "shuffle=True" in found.remedy


def test_real_and_false_images_in_turns_are_meant():
    described = network(data=DATA, model=MSE)
    run = record(described, **a_class_each(np.arange(100) % 2))
    assert severities(run) == []


def test_a_few_batches_of_one_class_are_chance():
    described = network(data=DATA, model=MSE)
    variation = np.where(np.arange(100) % 2, 0, 0.3)
    run = record(
        described,
        data_mean={"target": np.repeat(range(5), 20)},
        data_variation={"target": variation, "output": 0.3},
    )
    assert severities(run) == []


def cut(at, count=100, **targets):
    return {
        "data_max": {
            "output": np.where(
                np.arange(count) < at, 1.0, np.linspace(0.5, 0.7, count)
            )
        }
        | targets,
        "data_mean": {"output": np.linspace(0.4, 0.6, count)},
    }


def test_outputs_that_are_cut_where_no_target_is():
    described = network(data=DATA, model=MSE)
    (found,) = gradscope.diagnose(record(described, **cut(60, target=0.8)))
    assert (found.kind, found.layer) == ("output-range", "dense_3")
    assert "clipped at exactly 1 in 60 % of the batches" in found.what
    assert severities(record(described, **cut(40, target=0.8))) == []
    # Where targets are at the bound, outputs may be, too.
    assert severities(record(described, **cut(60, target=1.0))) == []


def alike(output, count=300, model=MSE, logs=(), **more):
    described = network(data=DATA, model=model)
    return record(
        described,
        count,
        logs=logs,
        data_variation={"output": output, "target": 1.0},
        **more,
    )


def test_outputs_that_are_the_same_for_all_examples():
    (found,) = gradscope.diagnose(alike(0.1))
    assert (found.kind, found.severity) == ("loss-metric-disagree", "warning")
    assert "vary between examples by only 10 % of what the" in found.what
    assert severities(alike(0.2)) == []
    # It is too early to tell.
    assert severities(alike(0.1, count=150)) == []


def test_a_divergence_that_is_most_of_the_loss():
    logs = [Log(100, 0, {"loss": 1.0, "mse": 0.6})]
    (found,) = gradscope.diagnose(alike(0.1, logs=logs))
    assert (found.kind, found.severity) == ("penalty-dominates", "warning")
    assert "At the start, 40 % of the loss was added by layers" in found.cause
    logs = [Log(100, 0, {"loss": 1.0, "mse": 0.9})]
    (found,) = gradscope.diagnose(alike(0.1, logs=logs))
    assert found.kind == "loss-metric-disagree"


def test_moving_statistics_that_outweigh_a_loss_of_nearly_nothing():
    described = network(
        data=DATA, model=MSE, states=(State("bn", "batch_norm", 8),)
    )
    loss = np.geomspace(2, 1e-4, 100)
    run = record(described, loss=loss, variance_distance=0.4)
    (found,) = gradscope.diagnose(run)
    assert (found.kind, found.layer) == ("batchnorm-statistics", "bn")
    # In batches that differ from each other, as much is chance.
    mean = {"input": np.random.default_rng(0).normal(size=100)}
    run = record(described, loss=loss, variance_distance=0.4, data_mean=mean)
    assert severities(run) == [("batchnorm-statistics", "note")]


def odd(*wiring, **more):
    softmax = Activation("dense_3/softmax", "softmax", 10, rank=2)
    return record(network(activations=(softmax,), wiring=wiring, **more))


@pytest.mark.parametrize(
    ("detail", "kind"),
    [("SparseSoftmaxCrossEntropyWithLogits", "softmax"), ("Log1p", "sigmoid")],
)
def test_what_goes_through_a_softmax_twice(detail, kind):
    name = f"dense_3/{kind}"
    (found,) = gradscope.diagnose(odd(Wiring("activation_twice", name, detail)))
    assert (found.kind, found.layer) == ("output-range", "dense_3")
    assert (
        f"The loss applies a {kind} to the outputs of `dense_3`" in found.what
    )


def test_predictions_that_are_compared_with_all_targets():
    wiring = Wiring("broadcast", "loss", "[N] - [N, 1]")
    (found,) = gradscope.diagnose(odd(wiring))
    assert found.kind == "loss-metric-disagree"
    assert "[N] - [N, 1] broadcast to a table in `loss`" in found.what


def test_wiring_is_a_part_of_the_schema():
    wiring = (Wiring("broadcast", "loss", "[N] - [N, 1]"),)
    described = network(wiring=wiring)
    assert Schema.from_json(described.to_json()) == described
    assert described.id == network().id  # no row


def test_logits_that_come_from_a_relu():
    wiring = Wiring("relu_logits", "out/relu", "SoftmaxCrossEntropyWithLogits")
    (found,) = gradscope.diagnose(record(network(wiring=(wiring,))))
    assert (found.kind, found.layer) == ("relu-output", "out")
    # Where the model is known, another rule knows more.
    relu = Activation("out/relu", "relu", 10, rank=2, is_output=True)
    run = record(network(wiring=(wiring,), activations=(relu,)))
    assert gradscope.diagnose(run) == []
