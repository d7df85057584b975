"""Dropout and batch norm in a training, and in a step by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from observed import FEW, FITS, train
from training import BATCH, STEPS, X, Y, batches, loop, loss

import gradscope
from gradscope.format.schema import State
from gradscope.measuring import states

layers = keras.layers


def network(rate=0.5, momentum=0.9):
    return keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(9, "relu", name="first"),
            layers.BatchNormalization(momentum=momentum, name="norm"),
            layers.Dropout(rate, name="drop"),
            layers.Dense(3, name="logits"),
        ],
        name="network",
    )


def reference():
    """Returns what batch norm knows in each step: statistics of the batch, and
    the moving ones before."""
    keras.utils.set_random_seed(3)
    model = network(rate=0.0)
    norm = model.get_layer("norm")
    before = keras.Model(model.inputs, model.get_layer("first").output)
    remaining, steps = list(batches()), []

    def note():
        x, _ = remaining.pop(0)
        y = before([x]).numpy()
        moving = norm.moving_mean.numpy(), norm.moving_variance.numpy()
        steps.append((len(x), y.mean(0), y.var(0), *moving))

    loop(model, keras.optimizers.SGD(0.05), before_step=note)
    return steps


def shifted_moments(x, axes, **options):
    """What `tf.nn.moments` does from TensorFlow 2.23 on."""
    mean = tf.reduce_mean(x, axes, **options)
    shifted = tf.subtract(x, tf.stop_gradient(mean))
    squares = tf.reduce_mean(tf.square(shifted), axes, **options)
    square = tf.square(tf.reduce_mean(shifted, axes, **options))
    return mean, tf.maximum(squares - square, tf.cast(0, x.dtype))


@pytest.mark.parametrize(
    "mode, moments",
    [*((mode, tf.nn.moments) for mode in FEW), ("fit_graph", shifted_moments)],
)
def test_batch_norm_is_what_numpy_says(mode, moments, tmp_path, monkeypatch):
    monkeypatch.setattr(tf.nn, "moments", moments)
    keras.utils.set_random_seed(3)
    record = train(mode, network(rate=0.0), tmp_path)
    assert record.schema.states == (State("norm", "batch_norm", 18),)
    expected = reference()
    _, _, _, first_mean, first_variance = expected[0]
    for row, (n, mean, variance, moving, moving_variance) in enumerate(
        expected
    ):
        scale = variance + 1e-3
        squared = np.mean((mean - moving) ** 2 / scale)
        noise = np.mean(variance / scale) / (n - 3)
        logarithm = np.log(scale / (moving_variance + 1e-3))
        distance = np.mean(logarithm**2)
        distance -= 2 * np.mean((variance / scale) ** 2) / (n - 3)
        way = (moving - first_mean) ** 2 / (first_variance + 1e-3)
        values = {
            "mean_distance": np.sqrt(max(squared - noise, 0)),
            "variance_distance": np.sqrt(max(distance, 0)),
            "state_movement": np.sqrt(np.mean(way)),
            "training_mode": 1,
        }
        for name, value in values.items():
            np.testing.assert_allclose(
                record[name][row, 0], value, rtol=2e-4, atol=1e-6, err_msg=name
            )


@pytest.mark.parametrize(
    "rate, mode",
    [(0.7, mode) for mode in FEW] + [(0.3, "fit_graph")],
)
def test_what_dropout_really_drops(rate, mode, tmp_path):
    """Seed 1 of the project: .68 to .71 against .29 to .31."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(256, "relu"),
            layers.Dropout(rate, name="drop"),
            layers.Dense(3),
        ]
    )
    record = train(mode, model, tmp_path)
    assert record.schema.states == (State("drop", "dropout"),)
    np.testing.assert_allclose(record["dropout_rate"], rate, rtol=1e-6)
    dropped = record["dropped_fraction"][:, 0]
    # Of 4096 units, or 2560 in the last batch of an epoch.
    assert (np.abs(dropped - rate) < 0.035).all()
    assert abs(dropped.mean() - rate) < 0.01
    assert len(set(dropped)) > STEPS / 2  # each step drops others


def test_the_mask_is_that_of_the_step(tmp_path):
    """What is counted is what was dropped, not another draw."""
    seen = []

    class Measurables(keras.layers.Layer):
        def call(self, inputs):
            zeros = tf.reduce_mean(tf.cast(tf.equal(inputs, 0.0), tf.float32))
            tf.numpy_function(seen.append, [zeros], [])
            return inputs

    model = keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dropout(0.4),
            Measurables(),
            layers.Dense(3),
        ]
    )
    model.compile("sgd", loss(), jit_compile=False)
    callback = gradscope.Callback(tmp_path, every=1)
    model.fit(X, Y, batch_size=BATCH, verbose=0, callbacks=[callback])
    record = gradscope.read(tmp_path)
    np.testing.assert_allclose(
        record["dropped_fraction"][:, 0], seen, rtol=1e-5
    )


def dropped_by_hand(x):
    return x * tf.cast(tf.random.uniform(tf.shape(x)) < 0.9, "float")


@pytest.mark.parametrize(
    "layer, rate",
    [
        (layers.SpatialDropout1D(0.4), 0.4),
        (layers.AlphaDropout(0.3), 0.3),
        (layers.Lambda(lambda x: tf.nn.dropout(x, 0.2)), 0.2),
        (
            layers.Lambda(
                lambda x: (
                    x * tf.cast(tf.random.uniform(tf.shape(x)) < 0.9, "float")
                )
            ),
            0.1,
        ),
    ],
    ids=["spatial", "alpha", "tf.nn", "by hand"],
)
def test_all_kinds_of_dropout_are_found(layer, rate, tmp_path):
    model = keras.Sequential(
        [
            keras.Input((12,)),
            layers.Reshape((4, 3)),
            layer,
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    record = train("fit_graph", model, tmp_path)
    ((_, kind),) = [(s.name, s.kind) for s in record.schema.states]
    assert kind == "dropout"
    np.testing.assert_allclose(record["dropout_rate"], rate, rtol=1e-5)
    assert abs(record["dropped_fraction"].mean() - rate) < 0.1


def test_what_turns_images_by_chance_is_no_dropout(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((12,)),
            layers.Reshape((2, 3, 2)),
            layers.RandomFlip(),
            layers.GaussianNoise(0.1),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    record = train("fit_graph", model, tmp_path)
    assert record.schema.states == ()


@pytest.mark.parametrize("mode", [*FITS, "loop_function"])
def test_a_frozen_batch_norm_is_in_inference_mode(mode, tmp_path):
    model = network(rate=0.0)
    model.get_layer("norm").trainable = False
    record = train(mode, model, tmp_path)
    assert record.schema.states == (State("norm", "batch_norm", 18),)
    assert (record["training_mode"] == 0).all()
    assert (record["state_movement"] == 0).all()
    assert np.isnan(record["mean_distance"]).all()


@pytest.mark.parametrize("training", [True, False])
def test_a_state_that_stateless_call_returned_and_nobody_kept(
    training, tmp_path
):
    model = network(rate=0.0)
    optimizer = keras.optimizers.SGD(0.05)
    gradscope.wrap(optimizer, tmp_path, every=1, model=model)
    trained, others = model.trainable_variables, model.non_trainable_variables

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            outputs, _ = model.stateless_call(
                [tf.convert_to_tensor(v.value) for v in trained],
                [tf.convert_to_tensor(v.value) for v in others],
                x,
                training=training,
            )
            value = tf.reduce_mean(outputs**2)
        gradients = tape.gradient(value, [v.value for v in trained])
        optimizer.apply(gradients, trained)

    for _ in range(3):
        step(tf.ones([4, 12]))
    gradscope.unwrap(optimizer)
    record = gradscope.read(tmp_path)
    row = [s.kind for s in record.schema.states].index("batch_norm")
    assert (record["training_mode"][:, row] == training).all()
    assert (record["state_movement"][:, row] == 0).all()


class Memory(keras.layers.Layer):
    """Keeps a state that is no batch norm's."""

    def build(self, shape):
        self.largest = self.add_weight(
            shape=[shape[-1]], initializer="ones", trainable=False
        )

    def call(self, inputs):
        highest = tf.reduce_max(tf.abs(inputs), axis=0)
        self.largest.assign(tf.maximum(self.largest, highest))
        return inputs / self.largest


@pytest.mark.parametrize("mode", ["fit_graph", "fit_jit", "loop_eager"])
def test_any_state_of_a_layer_is_seen_to_move(mode, tmp_path):
    model = keras.Sequential(
        [keras.Input((12,)), Memory(name="memory"), layers.Dense(3)]
    )
    record = train(mode, model, tmp_path)
    assert record.schema.states == (State("memory", "state", 12),)
    movement = record["state_movement"][:, 0]
    assert (np.diff(movement) >= 0).all() and movement[-1] > 0.1
    assert np.isnan(record["training_mode"]).all()


def test_noise_of_small_batches_is_no_distance():
    random = np.random.default_rng(0)
    for n, limit in ((8, 0.3), (32, 0.1), (128, 0.04)):
        means, variances = [], []
        for _ in range(100):
            x = random.normal(2, 3, [n, 64]).astype("float32")
            mean, variance = x.mean(0), x.var(0)
            size = tf.constant(float(n))
            still = np.full(64, 2.0), np.full(64, 9.0)
            means.append(states.mean_distance(mean, variance, still[0], size))
            variances.append(states.variance_distance(variance, still[1], size))
        assert np.mean(means) < limit and np.mean(variances) < 1.5 * limit
    # And what is no noise is found: half a standard deviation.
    found = states.mean_distance(mean, variance, still[0] + 1.5, size)
    assert float(found) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_of_three_examples_nothing_is_known(n):
    size = tf.constant(float(n))
    assert np.isnan(states.mean_distance([1.0], [1.0], [0.0], size))
    assert np.isnan(states.variance_distance([1.0], [2.0], size))


def test_a_channel_behind_a_dead_unit_is_not_infinitely_far():
    size = tf.constant(64.0)
    mean, variance = [0.0, 1.0], [0.0, 1.0]
    near = states.mean_distance(mean, variance, [0.001, 1.0], size)
    assert float(near) < 0.1
    assert float(states.variance_distance(variance, [1e-9, 1.0], size)) < 0.1
