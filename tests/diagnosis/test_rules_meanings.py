"""What must hold of axes, masks and targets that mean something else."""

import dataclasses

import numpy as np
import pytest
from classifiers import classifier, epochs, run
from synthetic import network

import gradscope
from gradscope.format.schema import Activation, Data, State, Wiring


def kinds(record):
    return [(f.kind, f.severity) for f in gradscope.diagnose(record)]


def with_wiring(*wiring, **data):
    schema = dataclasses.replace(classifier(), wiring=wiring)
    tokens = Data("input", "int32", (8,))
    return dataclasses.replace(schema, data=(tokens, *schema.data[1:]))


def test_a_batch_norm_over_rows():
    noted = with_wiring(Wiring("norm_axis", "norm", "1 4"))
    (found,) = gradscope.diagnose(run(noted))
    assert (found.kind, found.severity) == ("norm-axis", "warning")
    assert found.layer == "norm" and "axis=-1" in found.remedy
    well = run(noted, loss=np.geomspace(2.3, 0.001, 200))
    assert kinds(well) == [("norm-axis", "note")]


def test_a_word_that_is_masked():
    often = with_wiring(Wiring("masked_word", "words", "0.6"))
    (found,) = gradscope.diagnose(run(often))
    assert (found.kind, found.layer) == ("masked-word", "words")
    assert "In 60 % of the sequences a single 0 stands" in found.what
    assert kinds(run(with_wiring(Wiring("masked_word", "words", "0.1")))) == []


def test_a_mask_that_is_lost():
    lost = with_wiring(Wiring("lost_mask", "scale", "gru"))
    padded = {"data_zero_fraction": {"input": 0.6}}
    (found,) = gradscope.diagnose(run(lost, **padded))
    assert (found.kind, found.layer) == ("unmasked-padding", "scale")
    assert "`gru` reads the padding, 60 % of the tokens" in found.what
    # Without padding there is nothing to mask.
    assert kinds(run(lost)) == []


def two_outputs(second):
    kind = {"class": second, "config": {"from_logits": True}}
    return network(
        data=(
            Data("input", "float32", (8,)),
            Data("target/cells", "float32", (12,)),
            Data("target/offsets", "float32", (2,)),
            Data("output/cells", "float32", (12,)),
            Data("output/offsets", "float32", (2,)),
        ),
        model={
            "layers": [],
            "loss": [{"class": "CategoricalCrossentropy", "config": {}}, kind],
            "metrics": [],
        },
    )


def test_binary_targets_beyond_one():
    beyond = {"data_max": {"target/offsets": 4.5}}
    record = run(two_outputs("BinaryCrossentropy"), **beyond)
    (found,) = gradscope.diagnose(record)
    assert (found.kind, found.layer) == ("output-range", "offsets")
    assert "`target/offsets` has values from 0 to 4.5" in found.what
    within = {"data_max": {"target/offsets": 1.0}}
    assert kinds(run(two_outputs("BinaryCrossentropy"), **within)) == []
    assert kinds(run(two_outputs("MeanSquaredError"), **beyond)) == []


def test_a_single_sigmoid_is_told_to_scale_its_targets():
    schema = dataclasses.replace(
        classifier(1, "BinaryCrossentropy"),
        activations=(Activation("out/sigmoid", "sigmoid", 1, is_output=True),),
    )
    pixels = {"data_max": {"target": 255.0}}
    (found, *_) = gradscope.diagnose(run(schema, **pixels))
    assert found.kind == "output-range" and "divide pixels" in found.remedy


def test_batches_of_a_few_classes():
    """Blocks of sorted data that were shuffled as blocks."""
    mean = np.random.default_rng(0).permutation(np.arange(200) % 10)
    apart = {"data_mean": {"target": mean}, "data_variation": {"target": 0.3}}
    (found,) = gradscope.diagnose(run(**apart))
    assert (found.kind, found.severity) == ("unshuffled-data", "warning")
    assert "`batch` before `shuffle`" in found.cause
    # Batches of two classes may take turns, and so may those of triplets.
    pair = {"data_mean": {"target": mean % 2}, "data_variation": {"target": 0}}
    assert kinds(run(classifier(2), **pair, data_max={"target": 1.0})) == []
    assert kinds(run(classifier(loss="triplets"), **apart)) == []


def test_targets_below_zero_are_not_divided_by_their_sum():
    shares = classifier(5, "CategoricalCrossentropy")
    returns = {"data_mean": {"target": 1e-8}, "data_min": {"target": -2.0}}
    (found, *_) = gradscope.diagnose(run(shares, **returns))
    assert "add up to 0 on average" in found.what
    assert "sample_weight" in found.remedy and "divide" not in found.remedy
    several = {"data_mean": {"target": 0.6}, "data_min": {"target": 0.0}}
    (found, *_) = gradscope.diagnose(run(shares, **several))
    assert found.kind == "output-range" and "divide" in found.remedy
    assert found.evidence["target_sum"] == pytest.approx(3, rel=1e-5)


@pytest.mark.parametrize(
    ("scale", "highest", "before"),
    [(1 / 255, 1.0, "RandomFlip"), (1 / 255, 255.0, ""), (0.5, 1.0, "")],
)
def test_inputs_that_are_scaled_twice(scale, highest, before):
    layers = [("flip", before, {})] if before else []
    layers += [("scale", "Rescaling", {"scale": scale, "offset": 0.0})]
    layers += [("norm", "BatchNormalization", {}), ("dense_1", "Dense", {})]
    record = run(classifier(layers=layers), data_max={"input": highest})
    found = [f for f in gradscope.diagnose(record) if f.layer == "scale"]
    assert bool(found) == bool(before)
    for one in found:
        assert one.kind == "unscaled-input"
        assert "which leaves 0 to 0.00392" in one.what


def test_a_scaling_inside_of_the_network_may_be_meant():
    layers = [("dense_1", "Dense", {}), ("scale", "Rescaling", {"scale": 0.01})]
    assert kinds(run(classifier(layers=layers))) == []


def test_class_weights_that_do_not_fit_the_labels():
    many = with_wiring(Wiring("weight_of_many", "class_weight", "0.9 9 18"))
    (found,) = gradscope.diagnose(run(many))
    assert (found.kind, found.severity) == ("class-weight", "warning")
    assert "has 90 % of the examples, 9 times as many" in found.what
    assert "gives it 18 times the weight" in found.what
    none = with_wiring(Wiring("weight_of_no_class", "class_weight", "3 0"))
    (found,) = gradscope.diagnose(run(none))
    assert "has a weight for class 3, which no example has, and none for" in (
        found.what
    )


def test_a_loss_that_hardly_gets_below_guessing():
    """Labels in another order than the inputs are learned by heart, slowly."""
    slow = np.linspace(2.33, 2.18, 200)
    (found,) = gradscope.diagnose(run(loss=slow))
    assert found.kind == "nothing-learned"
    assert "ends at 2.19, hardly better than guessing (2.3)" in found.what
    assert kinds(run(loss=np.linspace(2.33, 2.1, 200))) == []
    # Of three classes, so little may be all that there is to learn.
    three = {"data_max": {"target": 2.0}, "loss": slow * np.log(3) / np.log(10)}
    assert kinds(run(classifier(3), **three)) == []


def normalised(distance):
    """A validation far below the first epoch, behind a batch norm."""
    schema = dataclasses.replace(
        classifier(),
        states=(State("norm", "batch_norm", 8, layer="norm"),),
    )
    logs = epochs(
        loss=[1.2, 0.3, 0.1, 0.01],
        accuracy=[0.7, 0.93, 0.99, 1.0],
        val_accuracy=[0.27, 0.25, 0.26, 0.26],
    )
    loss = np.geomspace(2.3, 0.01, 200)
    near = {"mean_distance": distance, "variance_distance": distance}
    return run(schema, loss=loss, logs=logs, **near)


def test_a_validation_of_other_statistics_behind_a_settled_batch_norm():
    (found,) = gradscope.diagnose(normalised(0.05))
    assert found.kind == "validation-differs"
    assert "goes by the batch in validation" in found.cause
    # Statistics that lag behind are the batch norm's own fault.
    lagging = [f.kind for f in gradscope.diagnose(normalised(3.0))]
    assert "validation-differs" not in lagging
