"""Rules about how weights start, and about gradients."""

import numpy as np
import pytest
import synthetic
from synthetic import network, record, since

import gradscope
from gradscope.format.schema import Activation, Data, Schema, State, Variable

STUCK = np.full(100, 2.3)


def kinds(run, **options):
    return [(f.kind, f.layer) for f in gradscope.diagnose(run, **options)]


def alarms(run):
    found = gradscope.diagnose(run)
    return [f.kind for f in found if f.severity != "note"]


def test_a_healthy_run_has_no_finding():
    assert gradscope.diagnose(record(network(12))) == []
    assert gradscope.diagnose(record(network(1), count=2)) == []


def test_a_run_without_steps_has_no_finding():
    assert gradscope.diagnose(record(network(), count=0)) == []


ZERO = {f"dense_{n}/kernel": 0.0 for n in (1, 2, 3)}


def test_weights_of_zero_are_one_finding_with_its_symptoms():
    run = record(
        network(),
        weight_norm=ZERO,
        gradient_norm=ZERO,
        gradient_rms=ZERO,
        gradient_unit_spread=0,
    )
    (found,) = gradscope.diagnose(run)
    assert (found.kind, found.layer) == ("zero-init", "dense_1")
    assert found.severity == "error"
    assert found.steps == (0, 99) and found.until_the_end
    assert found.evidence["layers"] == ["dense_1", "dense_2", "dense_3"]
    assert any("symmetric-units" in s for s in found.evidence["symptoms"])
    assert "he_normal" in found.remedy and found.since in found.message


def test_a_head_that_starts_at_zero_and_moves_is_healthy():
    first = since(1, 8.0, 0.0)
    run = record(
        network(),
        weight_norm={"dense_3/kernel": first},
        update_norm={"dense_3/kernel": 8.0},
        gradient_norm={"dense_1/kernel": since(1, 0.1, 0.0)},
    )
    assert kinds(run) == []


def test_units_that_stay_alike_are_symmetric():
    alike = {"dense_2/kernel": 1e-7}
    run = record(network(), gradient_unit_spread=alike)
    assert kinds(run) == [("symmetric-units", "dense_2")]
    assert kinds(run, ignore=["symmetric-units:dense_2"]) == []
    assert kinds(run, ignore=["symmetric-units:dense_1"]) != []
    short = {"dense_2/kernel": since(95, 1e-7, 0.9)}
    assert kinds(record(network(), gradient_unit_spread=short)) == []


def test_outputs_whose_errors_have_one_sign_are_no_symmetric_units():
    """Of a mean absolute error all outputs get the same gradient then."""
    spread = {"gradient_unit_spread": {"dense_3/kernel": 0}}
    assert kinds(record(network(), **spread)) == []
    # Of several outputs not all have the last kernel.
    spread = {"gradient_unit_spread": {"dense_2/kernel": 0}}
    for names, expected in (
        (("dense_1/relu", "dense_3/sigmoid"), []),
        (("dense_1/relu", "dense_2/relu"), [("symmetric-units", "dense_2")]),
    ):
        functions = [Activation(n, n.rpartition("/")[2], 64) for n in names]
        described = network(activations=tuple(functions))
        assert kinds(record(described, **spread)) == expected
    heads = Data("output/0", shape=(8, 64)), Data("output/1", shape=(8, 1))
    for start, expected in (
        ("GlorotUniform", []),
        ("Ones", [("symmetric-units", "dense_2")]),
    ):
        config = {"kernel_initializer": {"class_name": start}}
        layer = {"name": "dense_2", "class": "Dense", "config": config}
        model = {"layers": [layer], "loss": None, "metrics": []}
        described = network(data=heads, model=model)
        assert kinds(record(described, **spread)) == expected


def test_small_weights_are_a_finding_where_nothing_is_learned():
    small = {f"dense_{n}/kernel": 1e-4 for n in (1, 2, 3)}
    run = record(network(), weight_rms=small, loss=STUCK)
    assert kinds(run) == [("init-too-small", "dense_1")]
    assert alarms(record(network(), weight_rms=small)) == []


def test_the_numbers_of_bits_of_weights_are_no_kernels():
    for name, expected in (("b", []), ("i", []), ("w", ["init-too-large"])):
        bits = Variable(f"quantizer/{name}", "quantizer", (64, 64), "float32")
        described = Schema((bits, *network().variables), {"class": "Adam"})
        run = record(described, weight_rms={bits.name: 6.0}, loss=STUCK)
        assert [kind for kind, _ in kinds(run)] == expected


def test_large_weights_are_a_finding_with_what_they_bring_about():
    large = {f"dense_{n}/kernel": 2.0 for n in (1, 2, 3)}
    described = network(
        activations=(
            Activation("dense_1/tanh", "tanh", 64),
            Activation("dense_3/tanh", "tanh", 64),
        )
    )
    run = record(described, weight_rms=large, saturated_fraction=0.95)
    (found,) = gradscope.diagnose(run)
    assert (found.kind, found.layer) == ("init-too-large", "dense_1")
    assert found.evidence["symptoms"] == ["saturated-activation in dense_1"]


def test_the_start_is_not_judged_where_it_was_not_recorded():
    large = {f"dense_{n}/kernel": 2.0 for n in (1, 2, 3)}
    run = record(network(), weight_rms=large)
    run.steps[:] += 500
    assert kinds(run) == []


@pytest.mark.parametrize("name", ["glorot", "he", "lecun"])
@pytest.mark.parametrize("shape", [(64, 1024), (1024, 8), (3, 3, 16, 32)])
def test_usual_initializers_are_neither_too_small_nor_too_large(name, shape):
    inputs, outputs = np.prod(shape[:-1]), np.prod([*shape[:-2], shape[-1]])
    scale = {
        "glorot": 2 / (inputs + outputs),
        "he": 2 / inputs,
        "lecun": 1 / inputs,
    }[name]
    kernels = tuple(synthetic.kernel(f"dense_{n}", *shape) for n in range(3))
    run = record(Schema(kernels), weight_rms=np.sqrt(scale), loss=STUCK)
    assert kinds(run) == []


def vanishing(ratio, optimizer="SGD", **more):
    rms = {"dense_1/kernel": 0.01 * ratio, "dense_2/kernel": 0.003}
    return record(network(optimizer=optimizer), gradient_rms=rms, **more)


def test_a_gradient_that_gets_lost_on_its_way_back_vanishes():
    (found,) = gradscope.diagnose(vanishing(0.002))
    assert (found.kind, found.layer) == ("vanishing-gradient", "dense_1")
    assert found.evidence["ratio"] == pytest.approx(0.002)
    assert found.evidence["ratio_limit"] == 0.01
    assert "`dense_1` is 1/500 of its rms in `dense_3`" in found.what
    assert kinds(vanishing(0.1)) == []
    limits = {"vanishing-gradient.ratio": 0.2}
    assert kinds(vanishing(0.1), limits=limits) != []


def test_adam_makes_up_for_small_gradients_as_long_as_it_learns():
    assert kinds(vanishing(0.002, "Adam")) == []
    assert kinds(vanishing(1e-6, "Adam")) != []
    stuck = vanishing(0.002, "Adam", loss=STUCK)
    assert kinds(stuck) == [("vanishing-gradient", "dense_1")]


def test_a_normalised_network_may_not_have_learned_yet():
    """As KerasHub's BERT after 64 steps with its own defaults."""
    norm = (State("norm", "batch_norm"),)

    def after(ratio, optimizer):
        rms = {"dense_1/kernel": 0.01 * ratio, "dense_2/kernel": 0.003}
        described = network(optimizer=optimizer, states=norm)
        return kinds(record(described, gradient_rms=rms, loss=STUCK))

    assert after(0.002, "AdamW") == []
    assert after(1e-6, "AdamW") == [("vanishing-gradient", "dense_1")]
    assert after(0.002, "SGD") == [("vanishing-gradient", "dense_1")]


def test_the_scale_of_noise_is_no_kernel():
    """As of TensorFlow Probability's layers."""
    name = "dense/kernel_posterior_untransformed_scale"
    scale = Variable(name, "dense", (64, 64), "float32")
    run = record(Schema((scale,)), weight_rms=5.0)
    assert kinds(run) == []


def test_a_collapse_that_recovers_says_from_when_until_when():
    series = np.full(300, 0.01)
    series[100:200] = 1e-6
    run = record(network(), count=300, gradient_rms={"dense_1/kernel": series})
    (found,) = gradscope.diagnose(run)
    assert found.kind == "vanishing-gradient" and not found.until_the_end
    assert found.since == "from step 100 to 199"


def test_small_weights_are_the_cause_of_a_vanishing_gradient():
    (found,) = gradscope.diagnose(
        vanishing(0.002, weight_rms={"dense_2/kernel": 1e-3}, loss=STUCK)
    )
    assert found.kind == "vanishing-gradient"
    assert "The initial weights of `dense_2` are too small" in found.cause
    assert found.evidence["symptoms"] == ["init-too-small in dense_2"]


def test_a_gradient_that_grows_out_of_hand_explodes():
    norm = since(60, 500.0, 0.3)
    run = record(
        network(),
        global_gradient_norm=norm,
        gradient_norm={"dense_2/bias": norm},
        loss=since(60, 50.0, 2.0),
    )
    found = gradscope.diagnose(run)
    assert ("exploding-gradient", "dense_2") in [
        (f.kind, f.layer) for f in found
    ] or found[0].kind == "loss-diverges"
    calm = record(network(), global_gradient_norm=since(60, 2.0, 0.3))
    assert kinds(calm) == []


@pytest.mark.parametrize(
    "peak, expected", [(70, []), (300, ["exploding-gradient"])]
)
def test_a_gradient_explodes_from_the_level_that_it_long_had(peak, expected):
    """That of a critic grows with its targets, and goes up and down then."""
    norm = since(12, 20.0, 0.3)
    norm[70:73] = peak
    run = record(
        network(),
        global_gradient_norm=norm,
        gradient_norm={"dense_2/bias": norm},
        loss=np.full(100, np.nan),
    )
    assert alarms(run) == expected


def test_a_kernel_without_gradient():
    still = {"dense_2/kernel": since(30, 0.0, 0.1)}
    (found,) = gradscope.diagnose(record(network(), gradient_norm=still))
    assert (found.kind, found.layer) == ("zero-gradient", "dense_2")
    assert found.since == "since step 30"
    few = {"dense_2/kernel": since(95, 0.0, 0.1)}
    assert kinds(record(network(), gradient_norm=few)) == []


def test_a_variable_that_the_loss_does_not_depend_on():
    names = ["dense_2/kernel", "dense_2/bias"]
    run = record(
        network(),
        gradient_missing=dict.fromkeys(names, 1.0),
        gradient_norm=dict.fromkeys(names, np.nan),
    )
    (found,) = gradscope.diagnose(run)
    assert (found.kind, found.layer) == ("disconnected-variable", "dense_2")
    assert found.evidence["variables"] == names


def test_what_became_nan_first_is_told_and_its_consequences_are_not():
    nan = since(40, np.nan, 0.1)
    run = record(
        network(),
        gradient_nonfinite=dict.fromkeys(["dense_1/kernel"], since(40, 5, 0)),
        gradient_norm={"dense_1/kernel": nan},
        loss=since(41, np.nan, 2.0),
    )
    (found,) = gradscope.diagnose(run)
    assert (found.kind, found.layer) == ("non-finite", "dense_1")
    assert found.steps[0] == 40
    assert "The gradient of `dense_1/kernel` became NaN" in found.what


def test_a_last_layer_that_starts_at_zero_is_not_why_nothing_arrives():
    last = {"dense_3/kernel": 0.0}
    described = network(activations=(Activation("dense_1/relu", "relu", 64),))
    run = record(described, weight_norm=last, gradient_norm=0.0)
    assert "zero-init" not in [kind for kind, _ in kinds(run)]
    dead = record(
        described, weight_norm=last, gradient_norm=0.0, activation_rms=0.0
    )
    assert ("zero-init", "dense_3") in kinds(dead)


def test_gradients_below_what_half_precision_can_tell():
    described = network(data=(Data("output", "float16"),))
    run = record(described, gradient_norm=0.0)
    (found,) = gradscope.diagnose(run)
    assert (found.kind, found.layer) == ("zero-gradient", "dense_1")
    assert "float16" in found.cause and "LossScale" in found.remedy


def test_queries_of_attention_may_get_little():
    names = ["mha/query/kernel", "mha/key/kernel"]
    names += ["mha/value/kernel", "up/kernel", "down/kernel", "last/kernel"]
    variables = [
        Variable(n, n.rpartition("/")[0], (64, 64), "float32") for n in names
    ]
    described = Schema(tuple(variables), {"class": "SGD"})
    small = {name: 1e-6 for name in names[:2]}
    assert kinds(record(described, gradient_rms=small)) == []
    small["mha/value/kernel"] = 1e-6
    run = record(described, gradient_rms=small)
    assert kinds(run) == [("vanishing-gradient", "mha/value")]


def test_blocks_that_add_up_without_normalisation():
    rows = [Activation(f"dense_{n}/relu", "relu", 64) for n in range(1, 9)]
    sizes = {row.name: 0.5 * 2.0**n for n, row in enumerate(rows)}
    lost = np.r_[600.0, 1e9, np.full(98, np.nan)]
    for activations, loss, expected in (
        (rows, lost, [("exploding-gradient", "dense_1")]),
        (rows, None, []),  # it learns
        (rows[:4], np.full(100, 2.3), []),
    ):
        described = network(9, activations=tuple(activations))
        known = {row.name: sizes[row.name] for row in activations}
        more = {} if loss is None else {"loss": loss}
        run = record(
            described,
            activation_rms=known,
            update_to_weight_ratio=0.001,
            **more,
        )
        found = [pair for pair in kinds(run) if pair[0] != "loss-diverges"]
        assert [p for p in found if p[0] != "non-finite"] == expected
