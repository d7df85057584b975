"""Rules about steps, activations, dropout, batch norm and the loss."""

import numpy as np
import pytest
import synthetic
from synthetic import network, record, since

import gradscope
from gradscope.format.schema import Activation, Data, State

STUCK = np.full(100, 2.3)
WIDE = ("dense_1/kernel", "dense_2/kernel", "dense_3/kernel")


def kinds(run, **options):
    return [(f.kind, f.layer) for f in gradscope.diagnose(run, **options)]


def severities(run):
    return [(f.kind, f.severity) for f in gradscope.diagnose(run)]


def relu(*layers, kind="relu"):
    return tuple(Activation(f"{n}/{kind}", kind, 64) for n in layers)


def test_steps_that_overwrite_the_weights_are_a_learning_rate_too_large():
    run = record(network(), update_to_weight_ratio=0.3, loss=STUCK)
    (found,) = gradscope.diagnose(run)
    assert (found.kind, found.severity) == ("learning-rate", "error")
    assert found.layer is None
    assert "Try `learning_rate=1e-05`" in found.remedy
    # A net that learns like this is left alone.
    assert kinds(record(network(), update_to_weight_ratio=0.3)) == []


def test_large_first_steps_are_no_fault():
    first = since(8, 0.001, 0.5)[:, np.newaxis]
    run = record(network(), update_to_weight_ratio=first, loss=STUCK)
    assert kinds(run) == []


def test_steps_too_small_to_get_anywhere():
    run = record(network(), update_to_weight_ratio=1e-7, loss=STUCK)
    (found,) = gradscope.diagnose(run)
    assert (found.kind, found.severity) == ("learning-rate", "warning")
    assert "Try `learning_rate=10`" in found.remedy
    assert kinds(record(network(), update_to_weight_ratio=1e-7)) == []


@pytest.mark.parametrize("ratio", [1e-9, 1.0])
def test_one_layer_that_moves_unlike_the_others(ratio):
    odd = {"dense_2/kernel": ratio}
    run = record(network(), update_to_weight_ratio=odd, loss=STUCK)
    size = "large" if ratio == 1 else "small"
    assert kinds(run) == [(f"update-too-{size}", "dense_2")]
    run = record(network(), update_to_weight_ratio=odd)
    assert {s for _, s in severities(run)} == {"note"}


def test_a_layer_of_dead_units():
    described = network(activations=relu("dense_1", "dense_2"))
    dead = {"dense_2/relu": since(50, 0.95, 0.1)}
    (found,) = gradscope.diagnose(
        record(described, dead_fraction=dead, loss=STUCK)
    )
    assert (found.kind, found.layer) == ("dead-relu", "dense_2")
    assert (found.severity, found.since) == ("error", "since step 50")
    assert "95 % of the units of `dense_2` are dead" in found.what
    # Half of them dead is worth a note, and no more.
    dead = {"dense_2/relu": 0.6}
    assert severities(record(described, dead_fraction=dead)) == [
        ("dead-relu", "note")
    ]
    # Those that came back are no finding.
    dead = {"dense_2/relu": since(50, 0.1, 0.95)}
    assert kinds(record(described, dead_fraction=dead)) == []


def test_dead_units_are_why_there_is_no_gradient():
    described = network(activations=relu("dense_2"))
    run = record(
        described,
        dead_fraction=since(20, 1.0, 0.0)[:, np.newaxis],
        gradient_norm={"dense_1/kernel": since(20, 0.0, 0.1)},
        loss=STUCK,
    )
    (found,) = gradscope.diagnose(run)
    assert found.kind == "dead-relu"
    assert found.evidence["symptoms"] == ["zero-gradient in dense_1"]


def test_a_hidden_layer_at_the_ends_of_its_range():
    described = network(
        activations=relu("dense_1", kind="tanh") + relu("dense_3", kind="tanh")
    )
    share = {"dense_1/tanh": 0.95}
    run = record(described, saturated_fraction=share, loss=STUCK)
    assert kinds(run) == [("saturated-activation", "dense_1")]
    # A last layer that is sure of itself is no fault.
    share = {"dense_3/tanh": 0.95}
    run = record(described, saturated_fraction=share, loss=STUCK)
    assert kinds(run) == []


def dropout(*names):
    return tuple(State(name, "dropout") for name in names)


def test_a_rate_that_was_meant_as_the_share_to_keep():
    described = network(states=dropout("dropout", "dropout_1"))
    numbers = {"dropout_rate": 0.7, "dropped_fraction": 0.69}
    (found,) = gradscope.diagnose(record(described, **numbers))
    assert (found.kind, found.severity) == ("dropout-keep-prob", "note")
    (found,) = gradscope.diagnose(record(described, **numbers, loss=STUCK))
    assert (found.kind, found.severity) == ("dropout-keep-prob", "warning")
    assert found.layer == "dropout"
    assert "drop 70 % of the units" in found.what
    assert "`Dropout(0.3)`" in found.remedy
    assert kinds(record(described, dropout_rate=0.5, loss=STUCK)) == []


def norm(*names):
    return tuple(State(name, "batch_norm", 8) for name in names)


def test_moving_statistics_that_never_move():
    described = network(states=norm("bn"))
    run = record(described, state_movement=0, variance_distance=3)
    assert severities(run) == [("batchnorm-statistics", "error")]
    # In training with moving statistics there is nothing to follow.
    run = record(described, state_movement=0, training_mode=0)
    assert kinds(run) == []


def test_moving_statistics_that_lag():
    described = network(states=norm("bn", "bn_1"))
    far = {"bn_1": 2.5}
    long = record(described, count=800, variance_distance=far)
    (found,) = gradscope.diagnose(long)
    assert (found.kind, found.layer) == ("batchnorm-statistics", "bn_1")
    assert found.severity == "warning"
    # They had no time to follow.
    assert kinds(record(described, variance_distance=far)) == []
    probed = {"probe": (np.array([90]), np.array([[[0.5, 5.0]]]))}
    harmed = record(described, variance_distance=far, rare=probed)
    assert ("batchnorm-statistics", "warning") in severities(harmed)
    # What a probe shows to do no harm is no finding.
    even = {"probe": (np.array([700]), np.array([[[0.5, 0.5]]]))}
    run = record(described, count=800, variance_distance=far, rare=even)
    assert kinds(run) == []


def test_a_batch_that_is_worse_in_inference():
    both = {"probe": (np.array([90]), np.array([[[0.5, 1.5]]]))}
    run = record(network(), rare=both)
    (found,) = gradscope.diagnose(run)
    assert found.kind == "train-inference-mismatch"
    assert found.evidence["loss_ratio"] == pytest.approx(3)


def test_a_loss_that_rises():
    run = record(network(), loss=np.geomspace(1, 100, 100))
    (found,) = gradscope.diagnose(run)
    assert (found.kind, found.severity) == ("loss-diverges", "error")
    spike = np.linspace(2, 0.2, 100)
    spike[40] = 1000
    assert kinds(record(network(), loss=spike)) == []


def test_findings_are_sorted_by_harm():
    described = network(activations=relu("dense_1"), states=dropout("dropout"))
    run = record(
        described,
        loss=STUCK,
        dropout_rate=0.8,
        gradient_missing={"dense_2/bias": 1.0},
        gradient_unit_spread={WIDE[0]: 0.0},
        dead_fraction=0.7,
    )
    found = gradscope.diagnose(run)
    assert found[0].kind == "symmetric-units"
    assert found == sorted(found, key=lambda f: f.rank)
    assert [f.severity for f in found] == sorted(
        (f.severity for f in found), key=("error", "warning", "note").index
    )


def test_a_finding_is_a_dictionary_of_plain_values():
    run = record(network(), update_to_weight_ratio=0.3, loss=STUCK)
    (found,) = gradscope.diagnose(run)
    told = found.to_dict()
    assert told["kind"] == "learning-rate" and told["steps"] == [10, 99]
    assert told["message"] == found.message
    plain = (str, float, bool, list, type(None))
    assert all(isinstance(v, plain) for v in told["evidence"].values())


def test_what_is_skipped_by_a_loss_scale_is_no_part():
    run = record(network(), gradient_norm={WIDE[1]: since(30, 0.0, 0.1)})
    for family, values in run.families.items():
        if family != "run":
            values[30:] = np.nan
    assert kinds(run) == []
    assert synthetic.HEALTHY["gradient_norm"] > 0


def probe(training, inference):
    return {"probe": (np.array([90]), np.array([[[training, inference]]]))}


def test_a_gap_without_batch_norm_may_be_smaller():
    rare = probe(0.5, 0.9)
    (found,) = gradscope.diagnose(record(network(), rare=rare))
    assert (found.kind, found.severity) == (
        "train-inference-mismatch",
        "warning",
    )
    assert "is 1.8 times as large in inference mode" in found.what
    described = network(states=norm("bn"))
    assert kinds(record(described, rare=rare)) == []


@pytest.mark.parametrize(
    ("loss", "is_gap"), [("MeanSquaredError", True), ("Crossentropy", False)]
)
def test_an_error_of_numbers_is_never_small_enough(loss, is_gap):
    model = {"loss": {"class": loss, "config": {}}}
    described = network(states=norm("bn", "bn_1"), model=model)
    run = record(
        described,
        rare=probe(1e-6, 1e-3),
        loss=np.geomspace(2, 1e-6, 100),
        mean_distance={"bn": 0.0, "bn_1": 0.1},
        variance_distance=0.0,
    )
    found = gradscope.diagnose(run)
    if not is_gap:
        assert found == []
        return
    (found,) = found
    assert (found.kind, found.layer) == ("batchnorm-statistics", "bn_1")
    assert found.severity == "warning"
    assert found.evidence["symptoms"] == ["train-inference-mismatch"]


def test_what_is_known_of_a_session_is_worth_a_note():
    described = network(states=norm("bn"))
    run = record(described, loss=np.geomspace(2, 1e-6, 100), mean_distance=0.1)
    assert severities(run) == [("batchnorm-statistics", "note")]


def test_moving_statistics_of_which_nothing_else_is_known():
    nan = {"state_movement": 0, "mean_distance": np.nan}
    run = record(network(states=norm("bn")), variance_distance=np.nan, **nan)
    assert severities(run) == [("batchnorm-statistics", "error")]


def test_dropout_that_is_far_better_without():
    dropout = (State("dropout", "dropout"),)
    model = {"loss": {"class": "CategoricalCrossentropy", "config": {}}}
    data = (Data("output", "float32", (10,)),)
    described = network(states=dropout, model=model, data=data)
    # A tenth of ln 10, as much as .1 of accuracy.
    run = record(described, dropout_rate=0.6, rare=probe(0.8, 0.5))
    assert severities(run) == [("dropout-keep-prob", "warning")]
    run = record(described, dropout_rate=0.6, rare=probe(0.6, 0.5))
    assert severities(run) == [("dropout-keep-prob", "note")]


def test_moving_statistics_that_are_on_their_way():
    still = {"mean_distance": 0.0, "variance_distance": 0.0}
    still["loss"] = np.geomspace(2, 1e-6, 100)
    described = network(states=norm("bn"))
    drift = 0.5 + 0.001 * np.arange(100)
    run = record(described, state_movement=drift[:, None], **still)
    (found,) = gradscope.diagnose(run)
    assert (found.kind, found.severity) == ("batchnorm-statistics", "note")
    assert "of `bn` have not settled" in found.what
    # Chance goes back and forth.
    chance = 0.5 + 0.01 * np.random.default_rng(0).normal(size=100)
    run = record(described, state_movement=chance[:, None], **still)
    assert kinds(run) == []


def test_a_gap_of_which_batch_norm_is_the_cause():
    rare = probe(0.1, 0.9)
    run = record(
        network(states=norm("bn", "bn_1")),
        rare=rare,
        mean_distance=0.0,
        variance_distance=0.0,
        state_movement=np.stack([np.ones(100), np.linspace(0.9, 1, 100)], 1),
    )
    (found,) = gradscope.diagnose(run)
    assert (found.kind, found.layer) == ("batchnorm-statistics", "bn_1")
    assert found.evidence["loss_ratio"] == pytest.approx(9)


def test_a_first_step_that_left_a_layer_for_dead():
    first = since(3, 0.001, 0.5)[:, np.newaxis]
    described = network(activations=relu("dense_1"))
    dead = since(8, 0.95, np.nan)[:, np.newaxis]
    run = record(described, update_to_weight_ratio=first, dead_fraction=dead)
    (found,) = gradscope.diagnose(run)
    assert (found.kind, found.severity) == ("learning-rate", "warning")
    assert found.evidence["symptoms"] == ["dead-relu in dense_1"]
    assert found.steps == (0, 2)
    # Without the large steps it is the units that are the fault.
    run = record(described, dead_fraction=dead)
    (found,) = gradscope.diagnose(run)
    assert (found.kind, found.layer) == ("dead-relu", "dense_1")
    assert "fired at first and died later" in found.cause
    # Units that were never above zero were so in the first step, too.
    run = record(described, dead_fraction=dead, zero_fraction=0.96)
    (found,) = gradscope.diagnose(run)
    assert "dead from the start" in found.cause


def test_units_in_steps_that_are_nan_are_not_dead():
    """Devices differ in what a ReLU makes of NaN."""
    described = network(activations=relu("dense_1"))
    run = record(
        described,
        dead_fraction=since(50, 1.0, 0.0)[:, np.newaxis],
        gradient_nonfinite=since(50, 1.0, 0.0)[:, np.newaxis],
    )
    (found,) = gradscope.diagnose(run)
    assert found.kind == "non-finite" and "symptoms" not in found.evidence


def test_a_first_step_that_left_a_layer_at_its_ends():
    first = since(3, 0.001, 0.5)[:, np.newaxis]
    described = network(activations=relu("dense_1", kind="tanh"))
    run = record(described, update_to_weight_ratio=first, saturated_fraction=1)
    assert kinds(run) == [("learning-rate", None)]
    # A ReLU has an end, too; there it is half of the outputs and more.
    described = network(activations=relu("dense_1"))
    run = record(described, update_to_weight_ratio=first, saturated_fraction=1)
    assert kinds(run) == []


def test_steps_of_nothing_have_no_rate():
    run = record(
        network(), update_to_weight_ratio=0, gradient_rms=0, loss=STUCK
    )
    assert "learning-rate" not in {kind for kind, _ in kinds(run)}
    falls = since(40, 1e-9, 0.001)[:, np.newaxis]
    run = record(network(), update_to_weight_ratio=falls, loss=STUCK)
    (found,) = gradscope.diagnose(run)
    assert (found.kind, found.steps) == ("learning-rate", (40, 99))
    assert "`decay_steps=epochs * len(x) // batch_size`" in found.remedy


@pytest.mark.parametrize(
    ("optimizer", "clipped", "ratio", "loss", "is_found"),
    [
        ("SGD", 1e-4, 4e-5, STUCK, True),
        ("SGD", 0.05, 4e-5, STUCK, False),  # no more than a twentieth
        ("SGD", 1e-4, 1e-3, STUCK, False),  # made up for by the rate
        ("SGD", 1e-4, 4e-5, np.linspace(2, 0.1, 100), False),  # it learns
        ("Adam", 1e-4, 4e-5, STUCK, False),  # divides by the size again
    ],
)
def test_gradients_that_are_clipped_to_nothing(
    optimizer, clipped, ratio, loss, is_found
):
    run = record(
        network(optimizer=optimizer),
        update_to_weight_ratio=ratio,
        global_gradient_norm=1.0,
        global_clipped_norm=clipped,
        loss=loss,
    )
    assert (("update-too-small", None) in kinds(run)) == is_found
    if is_found:
        (found,) = gradscope.diagnose(run)
        assert "`global_clipnorm=3`" in found.remedy
        assert found.evidence["clipped_share"] == pytest.approx(1e-4)


def test_steps_that_are_far_too_large_may_come_from_targets():
    run = record(network(), update_to_weight_ratio=5e5, loss=STUCK)
    assert "targets in the hundreds" in gradscope.diagnose(run)[0].cause
    run = record(network(), update_to_weight_ratio=0.5, loss=STUCK)
    assert "hundreds" not in gradscope.diagnose(run)[0].cause


@pytest.mark.parametrize(
    ("variation", "rank", "is_found"),
    [(np.nan, 2, True), (0.5, 2, False), (np.nan, 4, False)],
)
def test_batch_norm_of_a_single_example(variation, rank, is_found):
    described = network(
        data=(Data("input"),),
        states=(State("norm", "batch_norm", 8, layer="norm"),),
        activations=(Activation("dense_1/relu", "relu", 64, rank=rank),),
    )
    run = record(described, data_variation=variation)
    assert kinds(run) == [("batchnorm-statistics", "norm")] * is_found
