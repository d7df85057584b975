"""Rules that need to know the model: outputs, inputs, targets, penalties."""

import numpy as np
import pytest
from synthetic import network, record

import gradscope
from gradscope.format.epoch_logs import Log
from gradscope.format.schema import (
    Activation,
    Data,
    Schema,
    State,
    Variable,
    Wiring,
)

STUCK = np.full(100, 2.3)
MSE = {"loss": {"class": "MeanSquaredError", "config": {}}}


def kinds(run, **options):
    return [(f.kind, f.layer) for f in gradscope.diagnose(run, **options)]


def severities(run):
    return [(f.kind, f.severity) for f in gradscope.diagnose(run)]


def ends_with(kind, units=10, loss=None, **more):
    output = Activation(
        f"dense_3/{kind}", kind, units, rank=2, is_output=True, **more
    )
    rows = tuple(Data(n) for n in ("input", "output", "target"))
    return network(activations=(output,), data=rows, model=loss or MSE)


def test_a_relu_at_the_end():
    low = {"target": -1.5}
    run = record(ends_with("relu"), zero_fraction=0.6, data_min=low)
    assert severities(run) == [("relu-output", "warning")]
    run = record(ends_with("relu"), zero_fraction=1.0)
    assert severities(run) == [("relu-output", "error")]
    # Amounts are never negative, and a ReLU may be meant.
    assert kinds(record(ends_with("relu"), zero_fraction=0.3)) == []


@pytest.mark.parametrize(
    "kind, low, high, fits",
    [
        ("sigmoid", 0, 1, True),
        ("sigmoid", -1, 1, False),
        ("sigmoid", 0, 9, False),
        ("tanh", -1, 1, True),
        ("tanh", 0, 255, False),
        ("softmax", 0, 1, True),
        ("softmax", 0, 30, False),
        ("linear", -100, 100, True),
    ],
)
def test_targets_must_be_within_reach_of_the_output(kind, low, high, fits):
    run = record(
        ends_with(kind),
        data_min={"target": low},
        data_max={"target": high},
        data_rms={"target": 1.0},
    )
    found = kinds(run)
    assert found == ([] if fits else [("output-range", "dense_3")])


def logits(from_logits):
    return {
        "loss": {
            "class": "SparseCategoricalCrossentropy",
            "config": {"from_logits": from_logits},
        }
    }


def test_a_loss_that_takes_the_output_for_something_else():
    beyond = {"data_min": {"output": -4.0}, "data_max": {"output": 5.0}}
    plain = network(
        data=tuple(Data(n) for n in ("input", "output", "target")),
        model=logits(False),
    )
    assert kinds(record(plain, **beyond)) == [("output-range", "dense_3")]
    told = network(data=plain.data, model=logits(True))
    assert kinds(record(told, **beyond)) == []


def test_two_softmaxes_in_a_row():
    run = record(ends_with("softmax", loss=logits(True)), loss=STUCK)
    assert kinds(run)[0][0] in ("hidden-softmax", "output-range")
    assert kinds(record(ends_with("softmax", loss=logits(False)))) == []


def test_a_softmax_over_one_unit():
    run = record(ends_with("softmax", units=1))
    assert severities(run) == [("single-unit-softmax", "error")]
    assert kinds(record(ends_with("sigmoid", units=1))) == []


@pytest.mark.parametrize("axis, fits", [(-1, True), (1, True), (0, False)])
def test_a_softmax_along_the_examples(axis, fits):
    run = record(ends_with("softmax", axis=axis))
    assert kinds(run) == ([] if fits else [("softmax-axis", "dense_3")])


def test_a_softmax_between_layers_but_not_in_attention():
    dense = {"layers": [{"name": "dense_1", "class": "Dense", "config": {}}]}
    hidden = Activation("dense_1/softmax", "softmax", 64, rank=2)
    last = Activation("dense_3/softmax", "softmax", 10, rank=2, is_output=True)
    described = network(activations=(hidden, last), model=dense)
    assert kinds(record(described)) == [("hidden-softmax", "dense_1")]
    attention = Activation("mha/softmax", "softmax", 64, rank=4)
    described = network(activations=(attention, last), model=dense)
    assert kinds(record(described)) == []


def test_layers_with_nothing_in_between():
    pairs = (("dense_1/kernel", "dense_2/kernel"),)
    both = (*pairs, ("dense_2/kernel", "dense_3/kernel"))
    all_linear = record(network(linear=both))
    assert severities(all_linear) == [("missing-nonlinearity", "warning")]
    assert severities(record(network(linear=pairs))) == [
        ("missing-nonlinearity", "note")
    ]


def inputs(dtype="float32", **more):
    rows = (Data("input", dtype), Data("output"), Data("target"))
    return network(data=rows, model=MSE, **more)


def test_inputs_that_are_far_too_large():
    large = {"data_rms": {"input": 130.0}, "data_max": {"input": 255.0}}
    run = record(inputs(), **large, loss=STUCK)
    assert severities(run) == [("unscaled-input", "warning")]
    # It learns all the same.
    assert severities(record(inputs(), **large)) == [("unscaled-input", "note")]
    # These are ids, or are normalised.
    assert kinds(record(inputs("int32"), **large, loss=STUCK)) == []
    norm = inputs(states=(State("bn", "batch_norm"),))
    assert kinds(record(norm, **large, loss=STUCK)) == []


def test_targets_that_the_outputs_never_get_near():
    far = {"data_rms": {"target": 5000.0, "output": 2.0, "input": 1.0}}
    far |= {"data_max": {"target": 9000.0}}
    run = record(inputs(), **far, loss=STUCK)
    assert severities(run) == [("unscaled-target", "warning")]
    reached = {"data_rms": {"target": 5000.0, "output": 4900.0, "input": 1.0}}
    assert kinds(record(inputs(), **reached, loss=STUCK)) == []


@pytest.mark.parametrize(
    "loss, dtype, output, target, is_found",
    [
        ("masked_loss", "int64", (8, 101), (8,), False),
        ("masked_loss", "int64", (32,), (1,), False),
        ("masked_loss", "float32", (8, 6001), (8,), False),
        ("masked_loss", "float32", (8, 6001), (8, 1), False),
        ("masked_loss", "float32", (8, 101), (8,), True),
        ("masked_loss", "float32", (1,), (1,), True),
        ("MeanSquaredError", "int64", (1,), (1,), True),
    ],
)
def test_targets_that_are_numbers_of_classes(
    loss, dtype, output, target, is_found
):
    data = (
        Data("input", "float32", (3,)),
        Data("output", "float32", output),
        Data("target", dtype, target),
    )
    model = {"loss": {"class": loss, "config": {}}}
    far = {"data_rms": {"target": 3000.0, "output": 1.0, "input": 1.0}}
    far |= {"data_max": {"target": 6000.0}}
    run = record(network(data=data, model=model), **far)
    expected = [("unscaled-target", None)] if is_found else []
    assert kinds(run) == expected


def test_targets_that_are_all_alike():
    alike = {"data_variation": {"target": 0.0}, "data_mean": {"target": 3.0}}
    run = record(inputs(), **alike)
    assert severities(run) == [("constant-labels", "error")]
    # Sorted by class: alike in each batch, and not in all of them.
    mean = {"target": np.repeat([0.0, 1.0], 50)}
    run = record(inputs(), data_variation={"target": 0.0}, data_mean=mean)
    assert severities(run) == [("constant-labels", "warning")]


def regularised(l2):
    kernel = {"class_name": "L2", "config": {"l2": l2}}
    names = ("dense_1", "dense_2", "dense_3")
    layers = [
        {"name": n, "class": "Dense", "config": {"kernel_regularizer": kernel}}
        for n in names
    ]
    return network(model={"layers": layers} | MSE)


def test_a_penalty_that_is_most_of_the_loss():
    # Three kernels of norm 8: 192 times the factor.
    run = record(regularised(0.01), loss=STUCK)
    assert severities(run) == [("penalty-dominates", "warning")]
    (found,) = gradscope.diagnose(run)
    assert found.evidence["penalty_share"] == pytest.approx(1.92 / 2.3)
    assert kinds(record(regularised(1e-4), loss=STUCK)) == []
    # The rest of the loss falls all the same.
    falls = np.linspace(10, 2, 100)
    assert kinds(record(regularised(0.01), loss=falls)) == []


def epochs(*pairs):
    return tuple(
        Log(10 * n, n, {"loss": loss, "accuracy": accuracy})
        for n, (loss, accuracy) in enumerate(pairs)
    )


def test_a_loss_that_falls_while_accuracy_does_not_move():
    flat = epochs((1.0, 0.1), (0.6, 0.1), (0.3, 0.1), (0.2, 0.1))
    assert kinds(record(network(), logs=flat)) == [
        ("loss-metric-disagree", None)
    ]
    both = epochs((1.0, 0.1), (0.6, 0.4), (0.3, 0.7), (0.2, 0.8))
    assert kinds(record(network(), logs=both)) == []


def test_a_metric_that_is_not_computed_in_training_says_nothing():
    nothing = epochs((1.0, 0.0), (0.6, 0.0), (0.3, 0.0), (0.2, 0.0))
    assert kinds(record(network(), logs=nothing)) == []


def test_dropout_by_the_gap_between_training_and_validation():
    described = network(states=(State("dropout", "dropout"),))
    logs = tuple(
        Log(n, n, {"accuracy": 0.6, "val_accuracy": 0.9}) for n in range(4)
    )
    run = record(described, dropout_rate=0.7, logs=logs)
    assert severities(run) == [("dropout-keep-prob", "warning")]


def test_one_batch_norm_for_two_kinds_of_batches():
    rows = tuple(
        State(name, "batch_norm", 8, calls=2, layer="bn")
        for name in ("bn", "bn_1")
    )
    described = network(states=rows)
    run = record(described, count=800, variance_distance=0.9)
    assert kinds(run) == [("shared-batchnorm", "bn")]
    assert kinds(record(described, count=800)) == []
    # The generator of a young GAN, whose calls are all of one kind.
    assert kinds(record(described, count=90, variance_distance=0.9)) == []


def test_a_softmax_in_a_layer_of_the_users():
    last = Activation("dense_3/softmax", "softmax", 10, rank=2, is_output=True)
    for name, expected in (("Softmax", [("hidden-softmax", "x")]), ("Own", [])):
        model = {"layers": [{"name": "x", "class": name, "config": {}}]}
        hidden = Activation("x/softmax", "softmax", 64, rank=2)
        described = network(activations=(hidden, last), model=model)
        assert kinds(record(described)) == expected


def test_a_penalty_on_outputs_that_are_all_zero():
    config = {"activity_regularizer": {"class_name": "L1", "config": {}}}
    for given, kind in ((config, "penalty-dominates"), ({}, "dead-relu")):
        layer = {"name": "dense_2", "class": "Dense", "config": given}
        described = network(
            activations=(Activation("dense_2/relu", "relu", 64),),
            model={"layers": [layer]} | MSE,
        )
        run = record(described, dead_fraction=1.0)
        assert kinds(run) == [(kind, "dense_2")]


def test_an_output_that_was_given_no_loss():
    missing = {"gradient_missing": {"dense_2/kernel": 1}}
    both = {"layers": [], "loss": [None, MSE["loss"]]}
    for model, severity in ((both, "note"), ({"layers": []} | MSE, "warning")):
        run = record(network(model=model), **missing)
        assert severities(run) == [("disconnected-variable", severity)]


def test_accuracy_of_numbers_harms_nothing():
    none = epochs((1.0, 0.0), (0.6, 0.0), (0.3, 0.0), (0.2, 0.0))
    run = record(network(model={"layers": []} | MSE), logs=none)
    assert severities(run) == [("loss-metric-disagree", "note")]


def test_a_loss_that_falls_far_below_zero():
    own = {"layers": [], "loss": {"class": "likelihood", "config": {}}}
    described = network(data=(Data("output"),), model=own)
    growth = np.geomspace(0.5, 40, 100)[:, np.newaxis]
    loss = -np.geomspace(2, 800, 100)
    run = record(described, loss=loss, data_rms=growth)
    assert kinds(run) == [("loss-diverges", None)]
    # A likelihood of narrow densities is above 1, and its loss below zero.
    loss = np.linspace(2, -5, 100)
    assert kinds(record(described, loss=loss, data_rms=growth)) == []


@pytest.mark.parametrize(
    ("rare", "most", "is_found"),
    [(0.03, 0.4, True), (0.03, 0.9, False), (0.5, 0.4, False)],
)
def test_a_network_that_says_no_to_everybody(rare, most, is_found):
    loss = {"loss": {"class": "binary_crossentropy", "config": {}}}
    run = record(
        ends_with("sigmoid", units=1, loss=loss),
        data_mean={"target": rare},
        data_min={"output": 0.01},
        data_max={"output": most},
    )
    assert severities(run) == [("loss-metric-disagree", "note")] * is_found
    if is_found:
        (found,) = gradscope.diagnose(run)
        assert 'answers "no" for every example' in found.what
        assert found.what.endswith("gives an accuracy of 97 %")
        assert "`class_weight={1: 32}`" in found.remedy


def test_a_softmax_between_layers_is_a_fault_where_it_shares_evenly():
    last = Activation("dense_3/softmax", "softmax", 10, rank=2, is_output=True)
    model = {"layers": [{"name": "x", "class": "Own", "config": {}}]}
    hidden = Activation("x/softmax", "softmax", 64, rank=4)
    for into, rms, severity in (
        ("kernel", 1.5 / 64, ["warning"]),
        ("kernel", 4 / 64, ["note"]),  # sure of a few: a choice
        ("other", 1.5 / 64, []),
    ):
        described = network(
            activations=(hidden, last),
            model=model,
            wiring=(Wiring("softmax_into", "x/softmax", into),),
        )
        run = record(described, activation_rms={"x/softmax": rms})
        expected = [("hidden-softmax", one) for one in severity]
        assert severities(run) == expected


def test_attention_that_looks_at_one_position_from_the_start():
    last = Activation("dense_3/softmax", "softmax", 10, rank=2, is_output=True)
    attention = Activation("mha/softmax", "softmax", 16, rank=4)
    described = network(activations=(attention, last))
    peaked = np.full(100, 0.245)
    late = np.r_[np.full(20, 0.1), peaked[20:]]
    for rms, expected in (
        (peaked, [("saturated-activation", "mha")]),
        (late, []),  # it has learnt where to look
        (np.full(100, 0.15), []),
    ):
        run = record(described, activation_rms={"mha/softmax": rms}, loss=STUCK)
        assert kinds(run) == expected


def test_a_projection_for_several_kernels_may_be_linear():
    pairs = [("dense_1/kernel", f"dense_{n}/kernel") for n in (2, 3)]
    described = network(layers=5, linear=tuple(pairs))
    assert kinds(record(described)) == []
    other = (("dense_2/kernel", "dense_3/kernel"),)
    others = (*other, ("dense_3/kernel", "dense_4/kernel"))
    described = network(layers=5, linear=others)
    assert severities(record(described)) == [
        ("missing-nonlinearity", "warning")
    ]


def test_a_simple_recurrence_over_many_time_steps():
    for length, bend, loss, expected in (
        (40, "sigmoid", STUCK, [("vanishing-gradient", "memory")]),
        (40, "relu", STUCK, []),
        (8, "tanh", STUCK, []),
        (40, "tanh", None, []),
    ):
        layer = {"name": "memory", "class": "SimpleRNN"}
        layer["config"] = {"activation": bend}
        described = network(
            data=(Data("input", shape=(length, 1)), Data("output")),
            model={"layers": [layer]} | MSE,
        )
        run = record(described, **({} if loss is None else {"loss": loss}))
        assert kinds(run) == expected


def test_one_of_several_targets_in_thousands():
    rows = [f"{role}/{n}" for role in ("target", "output") for n in (0, 1)]
    described = network(data=tuple(Data(n) for n in ("input", *rows)))
    run = record(described, data_rms={"target/0": 8000.0})
    (found,) = gradscope.diagnose(run)
    assert (found.kind, found.severity) == ("unscaled-target", "warning")
    assert found.evidence["ratio"] == 8000
    assert "target/0" in found.message
    both = {"target/0": 8000.0, "target/1": 8000.0}
    assert kinds(record(described, data_rms=both)) == []


def test_embeddings_that_start_alike_and_meet_no_kernel():
    for start, dense, expected in (
        ("Constant", 0, [("symmetric-units", "users")]),
        ("RandomUniform", 0, []),
        ("Constant", 3, []),
    ):
        config = {"embeddings_initializer": {"class_name": start}}
        config["output_dim"] = 6
        layer = {"name": "users", "class": "Embedding", "config": config}
        kernels = network(dense).variables if dense else ()
        embedding = Variable("users/embeddings", "users", (60, 6), "float32")
        described = Schema(
            (embedding, *kernels), {"class": "Adam"}, model={"layers": [layer]}
        )
        assert kinds(record(described)) == expected


def test_variables_that_nobody_misses():
    missing = {"gradient_missing": {"dense_2/kernel": 1}}
    learnt = np.geomspace(2, 0.001, 100)
    run = record(network(), **missing, loss=learnt)
    assert severities(run) == [("disconnected-variable", "note")]
