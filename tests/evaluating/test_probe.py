"""Both losses of a batch, by hand and by other means; and what is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
import training
from probed_models import (
    EACH,
    MODELS,
    Penalty,
    assert_same,
    compiled,
    epoch,
    everything,
    layers,
    with_layers,
)
from training import X, Y

import gradscope


@EACH
def test_the_inference_loss_is_that_of_evaluate(name, eager):
    model = compiled(MODELS[name], run_eagerly=eager)
    epoch(model)
    weights = np.linspace(0.5, 2, 44)
    options = {"batch_size": 44, "verbose": 0, "return_dict": True}
    for sample_weight in (None, weights):
        told = model.evaluate(
            X[:44], Y[:44], sample_weight=sample_weight, **options
        )
        losses = gradscope.probe(model, X[:44], Y[:44], sample_weight)
        assert losses.inference_loss == pytest.approx(told["loss"], 1e-5)


def test_without_dropout_and_batch_norm_there_is_no_gap():
    model = compiled(lambda: with_layers(layers.Dense(8, "relu"), Penalty()))
    epoch(model)
    losses = gradscope.probe(model, X, Y)
    assert losses.training_loss == losses.inference_loss


def test_moving_statistics_that_lag_make_a_gap():
    model = compiled(
        lambda: with_layers(
            layers.Dense(16, "relu"), layers.BatchNormalization(momentum=0.99)
        )
    )
    model.optimizer.learning_rate = 0.5
    epoch(model, epochs=2)
    losses = gradscope.probe(model, X, Y)
    assert losses.inference_loss > 2 * losses.training_loss


def test_dropout_makes_the_training_loss_the_larger_one():
    model = compiled(lambda: with_layers(layers.Dropout(0.8)))
    labels = X[:, :3].argmax(axis=1)
    model.fit(X, labels, epochs=20, verbose=0)
    losses = gradscope.probe(model, X, labels)
    assert losses.training_loss > 1.1 * losses.inference_loss


def test_the_training_loss_is_that_of_the_next_step():
    model = compiled(MODELS["add_loss"], metrics=[])
    losses = gradscope.probe(model, X[:44], Y[:44])
    options = {"batch_size": 44, "shuffle": False, "verbose": 0}
    history = model.fit(X[:44], Y[:44], **options).history
    assert losses.training_loss == pytest.approx(history["loss"][0], 1e-5)


def test_inputs_and_targets_may_be_nests():
    first, second = keras.Input((12,), name="a"), keras.Input((2,), name="b")
    both = layers.Concatenate()([first, second])
    outputs = {"y": layers.Dense(3, name="y")(both), "z": layers.Dense(1)(both)}
    model = keras.Model({"a": first, "b": second}, outputs)
    model.compile("sgd", {"y": training.loss(), "z": "mse"})
    x = {"a": X, "b": X[:, :2].astype("float64")}
    y = {"y": Y, "z": tf.constant(X[:, :1])}
    losses = gradscope.probe(model, x, y)
    told = model.evaluate(x, y, batch_size=len(X), verbose=0, return_dict=True)
    assert losses.inference_loss == pytest.approx(told["loss"], 1e-5)
    as_tuple = keras.Model((first, second), outputs["y"])
    as_tuple.compile("sgd", training.loss())
    assert gradscope.probe(as_tuple, (x["a"], x["b"]), Y).training_loss > 0


def test_in_mixed_precision_the_losses_are_plain_numbers():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = compiled(training.dense_model)
    finally:
        keras.config.set_dtype_policy("float32")
    epoch(model)
    before = everything(model)
    losses = gradscope.probe(model, X, Y)
    assert_same(before, everything(model))
    assert np.isfinite([losses.training_loss, losses.inference_loss]).all()


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match="must be a Model of Keras 3 or of tf"):
        gradscope.probe(layers.Dense(3), X, Y)


def test_a_model_that_was_not_built_is_refused():
    model = keras.Sequential([layers.Dense(3)])
    model.compile("sgd", training.loss())
    with pytest.raises(ValueError, match=r"has no weights yet\. Build it"):
        gradscope.probe(model, X, Y)


@pytest.mark.parametrize("library", [keras, tf_keras])
def test_a_model_without_a_loss_is_refused(library):
    model = library.Sequential([library.layers.Dense(3)])
    model.build((None, 12))
    with pytest.raises(
        ValueError, match=r"has no loss to probe\. Define one with"
    ):
        gradscope.probe(model, X, Y)
    model.compile("sgd")
    with pytest.raises(
        ValueError, match=r"has no loss to probe\. Define one with"
    ):
        gradscope.probe(model, X, Y)


def test_a_loss_that_is_only_added_is_enough():
    model = with_layers(Penalty())
    model.compile("sgd")
    expected = 0.01 * np.sum(X.astype(float) ** 2)
    losses = gradscope.probe(model, X)
    assert losses.inference_loss == pytest.approx(expected, 1e-5)


def test_a_probe_while_a_graph_is_built_is_refused():
    model = compiled(training.dense_model)
    with pytest.raises(RuntimeError, match=r"outside a tf\.function"):
        tf.function(lambda: gradscope.probe(model, X, Y))()


def test_other_backends_are_refused(monkeypatch):
    model = compiled(training.dense_model)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(NotImplementedError, match="Set KERAS_BACKEND=tensorfl"):
        gradscope.probe(model, X, Y)
