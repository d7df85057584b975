"""Where a training that broke says it broke first."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from thinning import thinned
from training import X, Y, loss

import gradscope

layers = keras.layers
BATCH = 16
BROKEN = 6  # the batch in which it happens


class Root(layers.Layer):
    """A norm whose derivative is infinite for an example of zeros."""

    def call(self, inputs):
        return inputs + tf.sqrt(tf.reduce_sum(inputs**2, 1, keepdims=True))


def network(first=None):
    parts = [] if first is None else [first]
    return keras.Sequential(
        [
            keras.Input((12,)),
            *parts,
            # TensorFlow may make zero of the ReLU of a NaN.
            layers.Dense(8, "tanh", name="one"),
            layers.Dense(8, "relu", name="two"),
            layers.Dense(3, name="logits"),
        ]
    )


def train(model, x, logdir, every=1, y=Y, **options):
    options = {"jit_compile": False} | options
    model.compile(keras.optimizers.SGD(0.01), loss(), **options)
    callback = gradscope.Callback(logdir, every=every, histograms=None)
    model.fit(
        x,
        y,
        batch_size=BATCH,
        shuffle=False,
        verbose=0,
        callbacks=[callback],
    )
    return gradscope.read(logdir)


MODES = [{}, {"jit_compile": True}, {"run_eagerly": True}]
NO_XLA = [{}, {"run_eagerly": True}]


@pytest.mark.parametrize("options", thinned(MODES, fast=NO_XLA))
def test_an_input_that_is_missing(options, tmp_path):
    x = X.copy()
    x[BROKEN * BATCH + 3, 2] = np.nan
    found = train(network(), x, tmp_path, **options).first_nonfinite()
    assert (found.kind, found.name) == ("input", "input")
    assert (found.step, found.last_clean_step) == (BROKEN, BROKEN - 1)
    assert found.exact and not found.is_overflow
    assert found.steps_before.tolist() == list(range(BROKEN))
    assert np.isfinite(found.before["loss"]).all()
    assert "missing values" in found.message


@pytest.mark.parametrize("options", MODES)
def test_a_layer_whose_output_is_not_defined(options, tmp_path):
    x = np.abs(X)
    x[BROKEN * BATCH] = -1
    logarithm = layers.Lambda(tf.math.log, name="logarithm")
    found = train(network(logarithm), x, tmp_path, **options).first_nonfinite()
    assert (found.kind, found.name) == ("layer", "logarithm (Log)")
    assert found.step == BROKEN and found.exact and not found.is_overflow
    assert "the log or root of a negative number" in found.message


@pytest.mark.parametrize("options", thinned(MODES, fast=NO_XLA))
def test_a_loss_that_is_not_defined(options, tmp_path):
    weights = np.ones(len(X), np.float32)
    weights[BROKEN * BATCH : (BROKEN + 1) * BATCH] = np.nan
    model = network()
    model.compile(
        keras.optimizers.SGD(0.01), loss(), **({"jit_compile": False} | options)
    )
    model.fit(
        X,
        Y,
        sample_weight=weights,
        batch_size=BATCH,
        shuffle=False,
        verbose=0,
        callbacks=[gradscope.Callback(tmp_path, every=1)],
    )
    found = gradscope.read(tmp_path).first_nonfinite()
    assert (found.kind, found.name) == ("loss", None)
    assert found.step == BROKEN and found.exact


@pytest.mark.parametrize("options", MODES)
def test_a_gradient_that_is_not_defined_while_the_loss_is(options, tmp_path):
    class Trained(Root):
        def build(self, shape):
            self.scale = self.add_weight(
                shape=[12], initializer="ones", name="scale"
            )

        def call(self, inputs):
            return super().call(inputs * self.scale)

    x = X.copy()
    x[BROKEN * BATCH] = 0
    model = network(Trained(name="root"))
    found = train(model, x, tmp_path, **options).first_nonfinite()
    assert (found.kind, found.name) == ("gradient", "root/scale")
    assert found.step == BROKEN and found.exact
    assert np.isfinite(found.before["gradient_norm"]).all()


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_an_overflow_of_float16_is_told_apart(dtype, tmp_path):
    x = X.copy()
    x[BROKEN * BATCH] = 30_000
    policy = "mixed_float16" if dtype == "float16" else None
    model = keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(
                8,
                "relu",
                kernel_initializer="ones",
                name="one",
                dtype=policy,
            ),
            layers.Dense(3, name="logits"),
        ]
    )
    found = train(model, x, tmp_path).first_nonfinite()
    if dtype == "float32":
        assert found is None
        return
    assert (found.kind, found.name) == ("layer", "one (MatMul)")
    assert (found.step, found.dtype) == (BROKEN, "float16")
    assert found.is_overflow and "65504" in found.message


def test_between_two_records_only_the_interval_is_known(tmp_path):
    x = X.copy()
    x[BROKEN * BATCH + 3, 2] = np.nan
    record = train(
        network(), x, tmp_path, every=gradscope.schedule.Every(5, dense=0)
    )
    found = record.first_nonfinite()
    assert (found.kind, found.step, found.last_clean_step) == ("weight", 10, 5)
    assert not found.exact


def test_a_training_that_stays_finite(tmp_path):
    assert train(network(), X, tmp_path).first_nonfinite() is None
