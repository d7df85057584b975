"""Both losses of a batch, and a training that does not notice."""

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
from thinning import thinned
from training import X, Y

import gradscope
from gradscope.evaluating import probe
from gradscope.runtime.stand_in import MethodReplacement

layers = keras.layers
outside = keras.random.SeedGenerator(11)


class Penalty(layers.Layer):
    """Adds to the loss, and remembers what it saw."""

    def call(self, inputs):
        self.seen = inputs
        self.add_loss(0.01 * keras.ops.sum(inputs**2))
        return inputs


class Noise(layers.Layer):
    """Draws from all that can be drawn from."""

    def build(self, shape):
        self.generator = tf.random.Generator.from_seed(3)
        self.count = tf.Variable(0.0, trainable=False)
        self.own = keras.random.SeedGenerator(5)

    def call(self, inputs, training=False):
        if not training:
            return inputs
        self.count.assign_add(1.0)
        shape = keras.ops.shape(inputs)
        return (
            inputs
            + keras.random.normal(shape, stddev=0.1)
            + keras.random.normal(shape, stddev=0.1, seed=self.own)
            + self.generator.normal(shape) * 0.1
            + tf.random.get_global_generator().normal(shape) * 0.1
            + tf.random.normal(shape, stddev=0.1) * self.count
        )


class Outside(layers.Layer):
    """Draws from what the model does not know, and from seeded kernels."""

    def call(self, inputs, training=False):
        if not training:
            return inputs
        shape = keras.ops.shape(inputs)
        noise = keras.random.normal(shape, seed=outside)
        return inputs + 0.1 * (noise + tf.random.normal(shape, seed=4))


class OwnFunction(keras.Model):
    """Its `call` is a function with traces of its own."""

    def __init__(self):
        super().__init__()
        self.inner = training.dense_model()

    @tf.function
    def call(self, inputs, training=False):
        return self.inner(inputs, training=training)


class OwnStep(keras.Sequential):
    """A step of its own, and a method that tells its loss."""

    def compute_loss(self, x, y, y_pred, sample_weight):
        loss = super().compute_loss(x, y, y_pred, sample_weight)
        return 2 * loss + 1

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            outputs = self(x, training=True)
            loss = self.compute_loss(x, y, outputs, None)
        weights = self.trainable_weights
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        return self.compute_metrics(x, y, outputs) | {"loss": loss}


def with_layers(*chosen, make=keras.Sequential):
    return make([keras.Input((12,)), *chosen, layers.Dense(3)])


MODELS = {
    "dropout and batch norm": training.dense_model,
    "add_loss": lambda: with_layers(
        layers.Dense(8, "relu", kernel_regularizer="l2"),
        Penalty(),
        layers.Dropout(0.5),
    ),
    "noise": lambda: with_layers(Noise()),
    "noise from outside": lambda: with_layers(Outside()),
    "a function of its own": OwnFunction,
    "a step of its own": lambda: with_layers(
        layers.Dropout(0.3), layers.BatchNormalization(), make=OwnStep
    ),
    "spectral norm": lambda: with_layers(
        layers.SpectralNormalization(layers.Dense(8))
    ),
}


def compiled(make, **options):
    keras.utils.set_random_seed(7)
    outside.state.assign([11, 0])
    tf.random.set_global_generator(tf.random.Generator.from_seed(1))
    model = make()
    model.build((None, 12))
    options = {"metrics": ["accuracy"]} | options
    model.compile(keras.optimizers.Adam(0.01), training.loss(), **options)
    return model


def everything(model):
    """All numbers that a training moves."""
    moving = [
        *model.variables,
        *model.optimizer.variables,
        *(v for m in model.metrics for v in m.variables),
        outside.state,
    ]
    numbers = [v.numpy() for v in moving]
    for layer in model.layers:
        if isinstance(layer, Noise):
            numbers += [layer.count.numpy(), layer.generator.state.numpy()]
    return [*numbers, tf.random.get_global_generator().state.numpy()]


def epoch(model, **options):
    options = {"batch_size": 44, "shuffle": False, "verbose": 0} | options
    return model.fit(X, Y, **options).history


def assert_same(expected, actual):
    for one, other in zip(expected, actual, strict=True):
        np.testing.assert_array_equal(one, other)


# What the model does not know can be put back in graphs only.
CASES = [
    (name, eager)
    for name in MODELS
    for eager in (False, True)
    if name != "noise from outside" or not eager
]


BOTH = ("dropout and batch norm", "noise")
EACH = pytest.mark.parametrize(
    "name, eager",
    thinned(CASES, fast=[(n, e) for n, e in CASES if not e or n in BOTH]),
)


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
        return stand_in.original(*arguments, **keywords)

    stand_in = MethodReplacement(model, "compute_loss", counting)
    expected = gradscope.probe(model, X, Y)
    stand_in.install()
    assert gradscope.probe(model, X, Y) == expected
    assert not counted
    epoch(model)
    assert counted


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
