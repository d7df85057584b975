"""A training does not notice that it is probed."""

import os
import random
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
import training
from probed_models import (
    EACH,
    MODELS,
    assert_same,
    compiled,
    epoch,
    everything,
    layers,
    with_layers,
)
from thinning import thinned
from training import X, Y

import gradscope
from gradscope.evaluating import probe
from gradscope.runtime.method_replacement import MethodReplacement


@EACH
def test_training_is_the_same_with_and_without_probes(name, eager):

    def trained(probed):
        model = compiled(MODELS[name], run_eagerly=eager)
        for _ in range(2):
            if probed:
                before = everything(model)
                gradscope.probe(model, X[:44], Y[:44])
                gradscope.probe(model, X[:30], Y[:30], np.ones(30))
                assert_same(before, everything(model))
            history = epoch(model)
        return history, everything(model)

    (history, numbers), (same, others) = trained(False), trained(True)
    assert history == same
    assert_same(numbers, others)


@pytest.mark.parametrize("jit", thinned([False, True], fast=[False]))
def test_a_probe_within_an_epoch_changes_nothing(jit):
    def make():
        return with_layers(layers.Dropout(0.3), layers.BatchNormalization())

    def trained(callbacks):
        model = compiled(make, jit_compile=jit)
        history = epoch(model, callbacks=callbacks)
        return history, everything(model)

    def probe(batch, logs):
        gradscope.probe(callback.model, X[:44], Y[:44])

    callback = keras.callbacks.LambdaCallback(on_train_batch_end=probe)
    (history, numbers), (same, others) = trained([]), trained([callback])
    assert history == same
    assert_same(numbers, others)


def test_added_losses_do_not_add_up_and_leave_nothing_behind():
    model = compiled(MODELS["add_loss"])
    first = gradscope.probe(model, X, Y)
    assert gradscope.probe(model, X, Y) == first
    penalty = model.layers[1]
    assert len(model.losses) == 1  # the regularizer's
    model(X)
    before, seen = [float(loss) for loss in model.losses], penalty.seen
    gradscope.probe(model, X[:3], Y[:3])
    assert [float(loss) for loss in model.losses] == before
    assert penalty.seen is seen


def test_what_a_probe_that_fails_has_moved_is_put_back():
    class Failing(layers.Layer):
        def call(self, inputs, training=False):
            if training:
                tf.debugging.assert_negative(tf.reduce_sum(inputs**2))
            return inputs

    model = compiled(
        lambda: with_layers(layers.BatchNormalization(), Failing())
    )
    before = everything(model)
    with pytest.raises(tf.errors.InvalidArgumentError, match="assert"):
        gradscope.probe(model, X, Y)
    assert_same(before, everything(model))


MIRRORED = """
import sys
import tensorflow as tf
(cpu,) = tf.config.list_physical_devices("CPU")
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
import keras
import training
import gradscope

def train(probed):
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        keras.utils.set_random_seed(3)
        model = training.dense_model()
        model.compile("adam", training.loss(), metrics=["accuracy"])
    for _ in range(2):
        if probed:
            gradscope.probe(model, training.X, training.Y)
        model.fit(training.X, training.Y, batch_size=34, verbose=0)
    variables = [*model.variables, *model.optimizer.variables]
    return [c.numpy().tobytes() for v in variables for c in v.value.values]

print(train(False) == train(True))
"""


@pytest.mark.slow
def test_replicas_train_the_same():
    done = subprocess.run(
        [sys.executable, "-c", MIRRORED],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "True\n", done.stderr[-3000:]


def test_generators_that_a_probe_was_first_to_ask_for_are_taken_back():
    model = compiled(MODELS["noise"])
    keras.utils.set_random_seed(7)
    tf.random.set_global_generator(None)
    probe._keras_state().pop("global_seed_generator", None)
    state = random.getstate()
    gradscope.probe(model, X, Y)
    assert probe._keras_seeds() is None
    assert probe.stateful_random_ops.global_generator is None
    assert random.getstate() == state


def test_a_probe_is_no_step_to_what_stands_in_for_compute_loss():
    model = compiled(training.dense_model)
    counted = []

    def counting(*arguments, **keywords):
        counted.append(1)
        return replacement.original(*arguments, **keywords)

    replacement = MethodReplacement(model, "compute_loss", counting)
    expected = gradscope.probe(model, X, Y)
    replacement.install()
    assert gradscope.probe(model, X, Y) == expected
    assert not counted
    epoch(model)
    assert counted


class Old(tf_keras.Model):
    """A model of tf_keras that says `if` to a tensor."""

    def __init__(self):
        super().__init__()
        kinds = tf_keras.layers
        self.hidden = kinds.Dense(16, "relu", kernel_regularizer="l2")
        self.norm = kinds.BatchNormalization()
        self.drop = kinds.Dropout(0.4)
        self.logits = kinds.Dense(3)

    def call(self, inputs, training=False):
        hidden = self.norm(self.hidden(inputs), training=training)
        if tf.reduce_sum(hidden) > 1e9:
            hidden = 2 * hidden
        self.add_loss(0.01 * tf.reduce_sum(hidden**2))
        return self.logits(self.drop(hidden, training=training))


@pytest.mark.parametrize("eager", [False, True], ids=["graph", "eager"])
def test_models_of_tf_keras_train_the_same(eager):
    def trained(probed):
        tf_keras.utils.set_random_seed(7)
        model = Old()
        model(X[:2])
        loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, metrics=["accuracy"], run_eagerly=eager)
        for _ in range(2):
            if probed:
                variables = [*model.variables]
                for metric in model.metrics:
                    variables += metric.variables
                before = [v.numpy() for v in variables]
                losses = gradscope.probe(model, X[:44], Y[:44])
                assert_same(before, [v.numpy() for v in variables])
            history = epoch(model)
        told = model.evaluate(X[:44], Y[:44], batch_size=44, verbose=0)
        losses = gradscope.probe(model, X[:44], Y[:44])
        assert losses.inference_loss == pytest.approx(told[0], 1e-5)
        assert losses.training_loss != losses.inference_loss
        moving = [*model.variables, *model.optimizer.variables]
        return history, [v.numpy() for v in moving]

    (history, numbers), (same, others) = trained(False), trained(True)
    assert history == same
    assert_same(numbers, others)
