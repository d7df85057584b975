"""Two runs beside each other: where they part, and in what they differ."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import runs
import synthetic
from synthetic import record

import gradscope
from gradscope.format.schema import Activation, Data, Schema

FACTS = {
    "layers": [
        {"name": "dense_1", "class": "Dense", "config": {"units": 64}},
        {"name": "dropout", "class": "Dropout", "config": {"rate": 0.3}},
    ],
    "loss": {"class": "BinaryCrossentropy", "config": {"from_logits": True}},
    "metrics": [],
}


def schema(**more) -> Schema:
    return synthetic.network(
        activations=tuple(
            Activation(f"dense_{n}/relu", "relu", 64) for n in (1, 2)
        ),
        data=(Data("input"), Data("target"), Data("output")),
        **more,
    )


def pair(*, of_a=None, **of_b):
    """Compares a healthy run with one that differs in what is told."""
    return gradscope.compare(
        record(schema(), **(of_a or {})), record(schema(), **of_b)
    )


def from_step(start, value, before):
    return synthetic.since(start, value, before)


def test_a_run_is_the_same_as_itself_bit_for_bit():
    found = pair()
    assert found.same and found.same_bits
    assert found.parting is None and found.differs_from is None
    assert str(found).startswith(
        "The two runs are the same bit for bit in 100 common steps.\n"
    )
    assert found["gradient_norm"].shape == (100, 6)
    assert found.by_layer("update_norm").shape == (100, 3)
    assert not found["gradient_norm"].any()


def test_runs_part_where_a_statistic_differs_by_more_than_the_tolerance():
    found = pair(
        gradient_norm={"dense_2/kernel": from_step(40, 0.2, 0.1)},
        loss=np.linspace(2, 0.2, 100) + from_step(40, 1, 0),
    )
    part = found.parting
    assert (part.step, part.after) == (40, 39)
    assert (part.layer, part.variable) == ("dense_2", "dense_2/kernel")
    assert (part.statistic, part.differing) == ("gradient_norm", 1)
    assert (round(part.a, 6), round(part.b, 6)) == (0.1, 0.2)
    assert found.differs_from == 40 and not found.same
    assert found["gradient_norm"][40, 2] == pytest.approx(0.5)
    assert "two runs part at step 40, first in layer `dense_2`: the" in (
        str(found)
    )
    assert "(40 common steps)." in " ".join(str(found).split())


def test_what_differs_by_less_is_said_to_differ_in_its_bits():
    near = {"dense_1/kernel": from_step(7, 0.1 * (1 + 1e-5), 0.1)}
    found = pair(gradient_norm=near)
    assert found.same and not found.same_bits and found.differs_from == 7
    assert str(found).startswith(
        "The two runs are the same within 0.001 in 100 common steps, but their"
    )
    far = {"dense_1/kernel": near["dense_1/kernel"].copy()}
    far["dense_1/kernel"][50:] = 0.3
    found = pair(gradient_norm=far)
    assert (found.parting.step, found.differs_from) == (50, 7)
    assert "The bits differ from step 7 on, by at most 1e-05 until the" in (
        str(found)
    )


def test_with_tolerance_zero_runs_part_with_their_first_bit():
    a = record(schema())
    b = record(
        schema(), weight_norm={"dense_1/kernel": from_step(9, 8.000001, 8)}
    )
    assert gradscope.compare(a, b, tolerance=0).parting.step == 9


@pytest.mark.parametrize("tolerance", [-0.1, 1, float("nan")])
def test_a_tolerance_out_of_range_is_an_error(tolerance):
    with pytest.raises(
        ValueError, match=r"at least 0 and below 1, got .*0.001"
    ):
        gradscope.compare(
            record(schema()), record(schema()), tolerance=tolerance
        )


def test_a_gradient_that_is_noise_is_no_difference():
    noise = {"dense_1/bias": 1e-7}, {"dense_1/bias": 9e-7}
    found = pair(
        of_a={"gradient_norm": noise[0], "gradient_max": noise[0]},
        gradient_norm=noise[1],
        gradient_max=noise[1],
        # Adam makes steps of full length of it, and moves the weight.
        update_norm={"dense_1/bias": 0.02},
        weight_norm={"dense_1/bias": from_step(1, 9.0, 8.0)},
    )
    assert found.same
    assert found.noise.all(axis=0).tolist() == [False, True] + [False] * 4
    # Other weights at the start are none of its work.
    found = pair(
        of_a={"gradient_norm": noise[0]},
        gradient_norm=noise[1],
        weight_norm={"dense_1/bias": 9.0},
    )
    assert (found.parting.step, found.parting.variable) == (0, "dense_1/bias")


def test_a_missing_gradient_differs_from_one_that_is_there():
    found = pair(gradient_norm={"dense_3/bias": from_step(3, np.nan, 0.1)})
    assert (found.parting.step, found.parting.layer) == (3, "dense_3")
    assert found["gradient_norm"][3, 5] == 1


# By what: the order of computation in a step is weights, forward, gradient,
# update.


def cause(**of_b):
    return pair(**of_b).parting.cause


def test_other_weights_at_the_start():
    assert "a different seed" in cause(
        weight_norm={"dense_2/kernel": 9.0}, gradient_norm=0.5
    )
    late = record(schema(), weight_norm=9.0)
    late = dataclasses.replace(late, steps=late.steps + 10)
    early = dataclasses.replace(record(schema()), steps=late.steps)
    found = gradscope.compare(early, late)
    assert "already differ before the first step that" in found.parting.cause


def test_other_weights_later_come_from_a_step_that_was_not_recorded():
    found = pair(weight_norm={"dense_2/bias": from_step(20, 9.0, 8.0)})
    assert (found.parting.step, found.parting.layer) == (20, "dense_2")
    assert "since step 19" in found.parting.cause


def test_another_batch():
    told = cause(gradient_norm=0.2, data_mean={"target": 0.7}, loss=3.0)
    assert "the batch is different: `target` differs" in told


def test_another_forward_pass_is_named_by_its_first_activation():
    found = pair(
        gradient_norm=0.2,
        loss=3.0,
        activation_rms={"dense_2/relu": 0.4},
        data_mean={"output": 0.7},
    )
    assert found.parting.layer == "dense_2"
    assert "first in the activation `dense_2/relu`" in found.parting.cause


def test_another_way_back_is_named_by_the_layer_next_to_the_loss():
    found = pair(
        gradient_norm={n: 0.2 for n in ("dense_1/kernel", "dense_2/kernel")}
    )
    assert found.parting.layer == "dense_2"
    assert "the backward pass is different" in found.parting.cause


def test_another_learning_rate_and_another_optimizer():
    rates = cause(update_norm=0.9, learning_rate=0.01)
    assert "rate is 0.001 in the first run and 0.01 in the second" in rates
    assert "look at its configuration" in cause(update_norm=0.9)


def test_where_neither_loss_nor_activations_are_known():
    a, b = (
        record(synthetic.network(), loss=np.nan, gradient_norm=g)
        for g in (0.1, 0.2)
    )
    told = gradscope.compare(a, b).parting
    assert (told.layer, told.step) == ("dense_1", 0)
    assert told.cause.endswith("or the loss or the batch is")


# Runs of other lengths, schedules and layers.


def sparse(one, every):
    return dataclasses.replace(
        one,
        steps=one.steps[::every],
        wall_times=one.wall_times[::every],
        families={n: v[::every] for n, v in one.families.items()},
    )


def test_only_steps_that_both_recorded_are_compared():
    long = record(schema())
    short = sparse(long, 2)
    short = dataclasses.replace(
        short,
        steps=short.steps[:25],
        families={n: v[:25] for n, v in short.families.items()},
    )
    found = gradscope.compare(sparse(long, 3), short)
    assert found.same_bits
    assert found.steps.tolist() == list(range(0, 50, 6))
    assert (found.steps_a, found.steps_b) == ((0, 99, 34), (0, 48, 25))


def test_runs_without_a_common_step_say_so():
    a = record(schema())
    found = gradscope.compare(a, dataclasses.replace(a, steps=a.steps + 500))
    assert not found.comparable and found.same is None
    assert found.same_bits is None and found.parting is None
    assert str(found).startswith(
        "The two runs have no step in common: the first recorded 100 steps from"
    )
    assert found.to_dict()["steps"]["first"] is None


def test_runs_without_a_common_variable_say_so():
    a = record(Schema((synthetic.kernel("a", 2, 3),)))
    b = record(Schema((synthetic.kernel("b", 4),)))
    found = gradscope.compare(a, b)
    assert str(found).startswith("The two runs have no variable in common.")
    assert (found.only_a, found.only_b) == (("a/kernel",), ("b/kernel",))


def test_layers_of_other_names_are_matched_by_order_and_shape():
    renamed = runs.network(3, 64, "layer_{}")
    found = gradscope.compare(record(synthetic.network()), record(renamed))
    assert found.matched_by == "order" and found.same
    assert found.names[0] == ("dense_1/kernel", "layer_1/kernel")
    assert found.layers == ("dense_1", "dense_2", "dense_3")
    told = str(found)
    assert "paired by forward" in told
    assert "`dense_1/kernel` = `layer_1/kernel`" in told


def test_rows_of_one_run_only_are_listed():
    a, b = record(synthetic.network(3)), record(synthetic.network(4))
    found = gradscope.compare(a, b)
    assert found.only_a == ()
    assert found.only_b == ("dense_4/kernel", "dense_4/bias")
    assert "Only in the second run: `dense_4/kernel`" in str(found)


def test_a_restarted_run_is_compared_by_what_is_valid(tmp_path):
    runs.restarted(tmp_path, "a")
    runs.restarted(tmp_path, "b")
    runs.healthy(tmp_path, "c", layers=2, steps=60)
    assert gradscope.compare(tmp_path / "a", tmp_path / "b").same_bits
    found = gradscope.compare(tmp_path / "a", tmp_path / "c")
    assert found.parting.step == 0 and len(found.steps) == 51


def test_damage_is_told():
    damaged = dataclasses.replace(record(schema()), damage=("It ends early.",))
    found = gradscope.compare(damaged, record(schema()))
    assert "The first run is damaged: It ends early." in found.notes


def test_an_unknown_statistic_lists_the_known():
    with pytest.raises(KeyError, match=r"'loss' is not a statistic of variabl"):
        pair()["loss"]
    with pytest.raises(KeyError, match=r"is not a statistic of variables"):
        pair().by_layer("loss")


# Configuration.


def configured(model, optimizer="SGD", **config):
    described = synthetic.network(model=model)
    optimizer = {"class": optimizer, "config": {"name": "x", **config}}
    return record(dataclasses.replace(described, optimizer=optimizer))


def test_what_was_configured_differently():
    other = {
        "layers": [
            FACTS["layers"][0],
            {"name": "dropout", "class": "Dropout", "config": {"rate": 0.7}},
            {"name": "norm", "class": "BatchNormalization", "config": {}},
        ],
        "loss": {"class": "BinaryCrossentropy", "config": {}},
        "metrics": [],
    }
    found = gradscope.compare(
        configured(FACTS, learning_rate=0.1, nested={"a": 1}),
        configured(other, "Adam", learning_rate=0.1, nested={"a": 2}),
    )
    told = [(s.where, s.what, s.a, s.b) for s in found.configuration]
    assert told == [
        ("optimizer", "class", "SGD", "Adam"),
        ("optimizer", "config.nested.a", 1, 2),
        ("loss", "config.from_logits", True, None),
        ("dropout", "config.rate", 0.3, 0.7),
        ("norm", "class", None, "BatchNormalization"),
    ]
    words = str(found)
    assert 'optimizer: class is "SGD" in the first run' in words
    assert "`dropout`: config.rate is 0.3 in the first run and" in words
    assert "`norm`: class is none in the first run and" in words


def test_shapes_of_one_name_that_differ_are_told():
    found = gradscope.compare(
        record(synthetic.network(2, width=64)),
        record(synthetic.network(2, width=32)),
    )
    assert ("dense_1/kernel", "shape", (64, 64), (32, 32)) in [
        (s.where, s.what, s.a, s.b) for s in found.configuration
    ]


def test_a_model_that_is_not_known_is_told():
    a, b = configured(FACTS), configured({})
    (note,) = gradscope.compare(a, b).notes
    assert note.startswith("The model of the second run is not known")
    (note,) = gradscope.compare(b, b).notes
    assert note.startswith("The models of both runs are not known")
    assert gradscope.compare(a, a).notes == ()


def test_comparing_imports_no_tensorflow(tmp_path):
    runs.healthy(tmp_path, "a", layers=2, steps=5)
    code = (
        "import sys, gradscope; from gradscope.cli.main import main; "
        f"main(['compare', r'{tmp_path}/a', r'{tmp_path}/a']); "
        "print('tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("False\n")
