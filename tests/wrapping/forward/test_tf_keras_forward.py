"""The forward pass of a tf_keras model (Keras 2)."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from thinning import thinned

import gradscope

layers = tf_keras.layers
MODES = [{}, {"jit_compile": True}, {"run_eagerly": True}]

random = np.random.default_rng(0)
X = random.normal(2, 3, size=(64, 8, 8, 2)).astype("float32")
Y = random.integers(0, 3, 64)


def train(logdir, how, *, dropout=0.4, **options):
    tf_keras.utils.set_random_seed(0)
    model = tf_keras.Sequential(
        [
            tf_keras.Input((8, 8, 2)),
            layers.BatchNormalization(name="fused"),
            layers.Conv2D(4, 3, name="conv"),
            layers.ReLU(name="act"),
            layers.Flatten(),
            layers.Dropout(dropout, name="drop"),
            layers.Dense(6, "gelu", name="dense"),
            layers.BatchNormalization(name="norm"),
            layers.Dense(3, name="logits"),
        ],
        name="network",
    )
    optimizer = tf_keras.optimizers.SGD(0.05)
    callbacks = []
    if how == "wrap":
        gradscope.wrap(optimizer, logdir, every=1, window=30, model=model)
    elif how == "callback":
        callbacks = [
            gradscope.Callback(
                logdir, every=1, window=30, probe=(X[:32], Y[:32])
            )
        ]
    loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, **options)
    model.fit(
        X,
        Y,
        batch_size=16,
        epochs=2,
        shuffle=False,
        verbose=0,
        callbacks=callbacks,
    )
    gradscope.flush()
    return [v.numpy() for v in model.variables]


def assert_same(plain, observed):
    for expected, actual in zip(plain, observed, strict=True):
        np.testing.assert_array_equal(actual, expected)


WAYS = [(options, how) for options in MODES for how in ("wrap", "callback")]
XLA = {"jit_compile": True}


@pytest.mark.parametrize(
    "options, how",
    thinned(WAYS, fast=[way for way in WAYS if way[0] != XLA]),
)
def test_everything_is_found_and_no_bit_changes(options, how, tmp_path):
    observed = train(tmp_path, how, **options)
    if "jit_compile" not in options:
        assert_same(train(None, None, **options), observed)
    record = gradscope.read(tmp_path)
    assert record.activations == ("act/relu", "dense/gelu")
    assert [(s.name, s.kind) for s in record.schema.states] == [
        ("fused", "batch_norm"),
        ("drop", "dropout"),
        ("norm", "batch_norm"),
    ]
    assert record.schema.rows("data") == ("input", "target", "output")
    assert record.schema.unseen == ()
    assert len(record.steps) == 8
    assert np.isfinite(record["loss"]).all()
    np.testing.assert_allclose(record["dropout_rate"][:, 1], 0.4, rtol=1e-5)
    assert np.abs(record["dropped_fraction"][:, 1] - 0.4).max() < 0.06
    np.testing.assert_array_equal(record["training_mode"][:, [0, 2]], 1)
    # The input's statistics are known: moving ones are 0 and 1 at first.
    mean, variance = (f(X[:16], axis=(0, 1, 2)) for f in (np.mean, np.var))
    squared = np.mean(mean**2 / (variance + 1e-3)) - 1 / 13
    assert record["mean_distance"][0, 0] == pytest.approx(
        np.sqrt(squared), rel=1e-3
    )
    probes, _ = record.occasional("probe")
    assert probes.tolist() == ([4, 8] if how == "callback" else [])


def test_observing_it_changes_no_bit_under_xla(tmp_path):
    # The dropout of tf_keras draws other numbers in each program of XLA.
    options = {"dropout": 0.0, "jit_compile": True}
    assert_same(
        train(None, None, **options), train(tmp_path, "wrap", **options)
    )


def test_a_model_of_ones_own_is_seen_in_eager_steps(tmp_path):
    class Model(tf_keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(4, name="dense")

        def call(self, inputs):
            return tf.nn.gelu(self.dense(inputs), approximate=True)

    model = Model()
    model.compile(tf_keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
    model.fit(
        X[:, 0, 0],
        X[:, 0, :2, 0].repeat(2, axis=1),
        verbose=0,
        callbacks=[gradscope.Callback(tmp_path, every=1)],
    )
    record = gradscope.read(tmp_path)
    assert [a.kind for a in record.schema.activations] == ["gelu_tanh"]
    assert np.isfinite(record["saturated_fraction"]).all()


@pytest.mark.parametrize("told", ["compiled_loss", "what it returns"])
def test_the_loss_of_a_train_step_is_recorded(told, tmp_path):
    mean = tf_keras.losses.MeanSquaredError()

    class Own(tf_keras.Model):
        """As the guide of Keras 2 has it, for one optimizer and for a GAN."""

        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                compute = (
                    self.compiled_loss if told == "compiled_loss" else mean
                )
                loss = compute(y, self(x, training=True))
            weights = self.trainable_variables
            gradients = tape.gradient(loss, weights)
            self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
            if compute is mean:
                return {"loss": loss}
            return {metric.name: metric.result() for metric in self.metrics}

    x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    inputs = tf_keras.Input((3,))
    model = Own(inputs, layers.Dense(1)(inputs))
    model.compile(tf_keras.optimizers.SGD(0.1), "mse")
    callback = gradscope.Callback(tmp_path, findings=False)
    logged = model.fit(
        x, x[:, :1], batch_size=8, epochs=3, verbose=0, callbacks=[callback]
    ).history["loss"]
    record = gradscope.read(tmp_path)
    np.testing.assert_allclose(record["loss"], logged, rtol=1e-6)
    assert record.schema.unseen == ()
