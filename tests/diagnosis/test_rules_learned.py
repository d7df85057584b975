"""What must hold of any training: something is learned, and steps are made."""

import dataclasses
import itertools

import numpy as np
import pytest
from classifiers import classifier, epochs, run
from synthetic import network, since

import gradscope


def kinds(record):
    return [(f.kind, f.severity) for f in gradscope.diagnose(record)]


def test_a_loss_that_stays_at_guessing():
    loss = np.full(200, 2.31)
    (found,) = gradscope.diagnose(run(loss=loss))
    assert (found.kind, found.severity) == ("nothing-learned", "warning")
    assert "ends at 2.31, no better than guessing (2.3)" in found.what
    assert "the record does not tell why" in found.cause
    assert found.evidence["guessing_loss"] == pytest.approx(np.log(10))
    # A training of a few steps had no time to learn.
    assert kinds(run(loss=loss[:90], count=90)) == []
    # A GAN's discriminator that is at a loss again had learned something.
    loss[50:120] = 1.5
    assert kinds(run(loss=loss)) == []


def test_guessing_is_measured_by_the_loss():
    binary = classifier(1, "BinaryCrossentropy")
    rare = {"data_mean": {"target": 0.1}, "data_max": {"target": 1.0}}
    entropy = -0.1 * np.log(0.1) - 0.9 * np.log(0.9)
    stays = np.full(200, 0.99 * entropy)
    (found, *_) = gradscope.diagnose(run(binary, loss=stays, **rare))
    assert found.kind == "nothing-learned"
    assert found.evidence["guessing_loss"] == pytest.approx(entropy, rel=1e-5)
    squared = classifier(1, "MeanSquaredError")
    variance = {"data_variation": {"target": 2.0}, "loss": np.full(200, 4.0)}
    (found, *_) = gradscope.diagnose(run(squared, **variance))
    assert found.evidence["guessing_loss"] == pytest.approx(4)


def test_an_accuracy_above_guessing_is_something():
    logs = epochs(loss=[2.3, 2.3, 2.3], accuracy=[0.1, 0.2, 0.4])
    assert kinds(run(loss=np.full(200, 2.31), logs=logs)) == []


def test_penalties_have_a_price_of_their_own():
    penalty = {"kernel_regularizer": {"class_name": "L2"}}
    described = classifier(layers=[("dense_1", "Dense", penalty)])
    assert kinds(run(described, loss=np.full(200, 2.31))) == []


def test_a_loss_of_zero_from_the_first_step_on():
    nothing = {
        "loss": np.zeros(200),
        "global_gradient_norm": np.zeros(200),
        "gradient_norm": 0.0,
    }
    (found,) = gradscope.diagnose(run(**nothing))
    assert (found.kind, found.severity) == ("nothing-learned", "error")
    assert "sample weights, class weights or mask" in found.cause


def skipping(count, applied, scale=1.0):
    """A run whose loss scale skipped `count` steps before the others."""
    total = count + applied
    is_skipped = np.arange(total) < count
    skipped = np.minimum(np.arange(total) + 1.0, count)
    statistics = {
        name: np.where(is_skipped, np.nan, value)[:, np.newaxis]
        for name, value in [
            ("gradient_norm", 0.1),
            ("gradient_missing", 0.0),
            ("gradient_nonfinite", 0.0),
            ("weight_norm", 8.0),
        ]
    }
    record = run(count=total, skipped=skipped, loss_scale=scale, **statistics)
    # A step that is skipped has the number of the next one that is applied.
    steps = np.maximum(np.arange(total) - count, 0)
    return dataclasses.replace(record, steps=steps)


def test_a_training_of_skipped_steps_alone():
    (found,) = gradscope.diagnose(skipping(87, 0))
    assert (found.kind, found.severity) == ("steps-skipped", "error")
    assert "at least 87 steps were skipped" in found.what
    assert "overflows" in found.cause and 'dtype="float32"' in found.remedy
    assert "It fell to" not in found.cause


def test_a_loss_scale_so_small_that_it_cannot_be_the_reason():
    """After 87 steps it is 2^15 / 2^87: float16 holds 65504 / 2^-72."""
    (found,) = gradscope.diagnose(skipping(87, 0, 2.0**-72))
    assert "2e-22, with which only gradients above 3e+26 are" in found.cause
    assert "in the forward pass, the loss or a slope was itself" in found.cause
    assert "the record does not tell which, or where" in found.cause


def test_most_steps_skipped():
    (found,) = gradscope.diagnose(skipping(150, 50))
    assert (found.kind, found.severity) == ("steps-skipped", "warning")
    # A dynamic loss scale looks for its size in the first steps.
    assert "steps-skipped" not in dict(kinds(skipping(15, 150)))


def test_a_metric_that_gets_worse_while_the_loss_falls():
    logs = epochs(loss=[2.0, 1.0, 0.5], mae=[1.0, 1.5, 2.0])
    (found,) = gradscope.diagnose(run(logs=logs))
    assert (found.kind, found.severity) == ("loss-metric-disagree", "warning")
    assert "`mae` gets worse, from 1 to 2" in found.what
    logs = epochs(loss=[2.0, 1.0, 0.5], accuracy=[0.1, 0.05, 0.01])
    assert kinds(run(logs=logs)) == [("loss-metric-disagree", "warning")]
    logs = epochs(loss=[-0.1, -0.5, -0.9], cosine_similarity=[0.1, -0.4, -0.9])
    assert kinds(run(logs=logs)) == [("loss-metric-disagree", "warning")]
    # Both get better, and a validation metric may overfit.
    logs = epochs(loss=[2.0, 1.0, 0.5], mae=[2.0, 1.0, 0.5], val_mae=[1, 2, 3])
    assert kinds(run(logs=logs)) == []


@pytest.mark.parametrize(
    "name", ["accuracy", "factorized_top_k/top_1_categorical_accuracy"]
)
def test_a_metric_that_is_not_computed_in_training(name):
    """As those of TensorFlow Recommenders, which are 0 in all epochs."""
    loss, validation = [2.0, 1.0, 0.5], {f"val_{name}": [0.1, 0.2, 0.3]}
    logs = epochs(loss=loss, **{name: [0.0, 0.0, 0.0]}, **validation)
    assert kinds(run(logs=logs)) == []
    logs = epochs(loss=loss, **{name: [0.1, 0.05, 0.0]})
    assert kinds(run(logs=logs)) == [("loss-metric-disagree", "warning")]


def test_a_validation_of_classes_that_were_not_trained():
    logs = epochs(
        loss=[2.0, 1.0, 0.5],
        accuracy=[0.7, 0.9, 0.97],
        val_accuracy=[0.02, 0.02, 0.01],
    )
    (found,) = gradscope.diagnose(run(logs=logs))
    assert (found.kind, found.severity) == ("validation-differs", "warning")
    assert "0.01 in validation, where guessing gives 0.1" in found.what
    assert "validation_split" in found.cause
    # One that guesses may be learned by heart, too.
    logs = epochs(
        loss=[2.0, 1.0, 0.5],
        accuracy=[0.7, 0.9, 0.97],
        val_accuracy=[0.1, 0.1, 0.09],
    )
    (found,) = gradscope.diagnose(run(logs=logs))
    assert "or training data that are learned by heart" in found.cause
    # Overfitting is better than guessing.
    logs = epochs(
        loss=[2.0, 1.0, 0.5],
        accuracy=[0.7, 0.9, 0.97],
        val_accuracy=[0.3, 0.32, 0.29],
    )
    assert kinds(run(logs=logs)) == []


def test_what_does_no_harm_is_a_note():
    described = classifier()
    kernels = [v.name for v in described.variables]
    linear = tuple(itertools.pairwise(kernels))
    chain = {"linear": linear, "model": described.model}
    described = network(data=described.data, **chain)
    good = epochs(loss=[2.0, 1.0, 0.1], accuracy=[0.7, 0.9, 0.97])
    assert kinds(run(described, logs=good)) == [
        ("missing-nonlinearity", "note")
    ]
    poor = epochs(loss=[2.0, 1.9, 1.8], accuracy=[0.2, 0.3, 0.4])
    assert kinds(run(described, logs=poor)) == [
        ("missing-nonlinearity", "warning")
    ]


def test_a_rate_that_has_fallen_to_nothing():
    rate = 0.1 * 0.5 ** (np.arange(200) / 4.0)
    loss = np.maximum(np.linspace(2.5, -1, 200), 1.8)
    (found,) = gradscope.diagnose(run(learning_rate=rate, loss=loss))
    assert (found.kind, found.severity) == ("learning-rate", "warning")
    assert "while the gradients have not" in found.what
    # Halved each four steps, it is below a thousandth from step 40 on.
    assert found.steps == (40, 199) and "hardly anything" in found.what
    # A cosine is near zero for a few steps only.
    cosine = 0.1 * (1 + np.cos(np.pi * np.arange(200) / 200)) / 2
    assert kinds(run(learning_rate=cosine, loss=loss)) == []


def test_a_first_update_larger_than_the_weights():
    first = since(1, 0.001, 3.0, 200)[:, np.newaxis]
    (found,) = gradscope.diagnose(run(update_to_weight_ratio=first))
    assert (found.kind, found.severity) == ("update-too-large", "warning")
    assert "first update is 3 times as large as the kernels" in found.what
    assert (found.steps, found.layer) == ((0, 0), "dense_1")
    # The ratio to a head of zeros is infinite, and no fault.
    first = np.repeat(first, 6, axis=1)
    first[0, 4] = np.inf
    (found,) = gradscope.diagnose(run(update_to_weight_ratio=first))
    assert found.layer == "dense_1"


def test_a_layer_that_each_update_overwrites():
    ratio = {"dense_2/kernel": 0.5}
    loss = np.linspace(2.6, 2.4, 200)
    found, *_ = gradscope.diagnose(run(update_to_weight_ratio=ratio, loss=loss))
    assert (found.kind, found.layer) == ("learning-rate", "dense_2")
    assert "stays above that of guessing" in found.what


def test_outputs_that_are_the_same_for_all_examples():
    same = {"data_variation": {"output": 1e-4}, "data_rms": {"output": 0.3}}
    (found,) = gradscope.diagnose(run(**same))
    assert (found.kind, found.severity) == ("nothing-learned", "warning")
    assert (
        "0.0003 of their size, while the inputs differ by 0.8 of" in found.what
    )
    assert found.layer == "dense_3"
    # All targets are the same, too.
    same["data_variation"]["target"] = 0.0
    assert ("nothing-learned", "warning") not in kinds(run(**same))
