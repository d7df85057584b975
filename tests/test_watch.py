"""Activations of a training: found, named, measured, counted."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from training import BATCH, STEPS, X, Y, batches, loop, loss

import gradscope

MODES = ["fit_graph", "fit_3_steps", "function"]
layers = keras.layers


def network():
    return keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(9, "relu", name="first"),
            layers.Dense(7, "tanh", name="second"),
            layers.Dense(6, name="third"),
            layers.ReLU(name="rectified"),
            layers.Dense(3, name="logits"),
        ],
        name="network",
    )


def train(mode, model, logdir, optimizer=None, **options):
    optimizer = optimizer or keras.optimizers.SGD(0.05)
    gradscope.wrap(optimizer, logdir, every=1, **options)
    if mode == "function":
        loop(model, optimizer, wrapper=tf.function)
    else:
        model.compile(
            optimizer,
            loss(),
            jit_compile=False,
            steps_per_execution=3 if mode == "fit_3_steps" else 1,
        )
        model.fit(X, Y, batch_size=BATCH, epochs=2, shuffle=False, verbose=0)
    gradscope.unwrap(optimizer)
    return gradscope.read(logdir)


@functools.cache
def reference():
    """Returns the outputs of the activations in each step, by their names."""
    keras.utils.set_random_seed(3)
    model = network()
    optimizer = keras.optimizers.SGD(0.05)
    parts = [model.get_layer(n) for n in ("first", "second", "rectified")]
    look = keras.Model(model.inputs, [part.output for part in parts])
    steps = []

    def note():
        x, _ = remaining.pop(0)
        steps.append([y.numpy() for y in look([x])])

    remaining = list(batches())
    loop(model, optimizer, before_step=note)
    return steps


@pytest.mark.parametrize("mode", MODES)
def test_numbers_are_those_of_the_layers_outputs(mode, tmp_path):
    keras.utils.set_random_seed(3)
    record = train(mode, network(), tmp_path, window=40)
    names = ("first/relu", "second/tanh", "rectified/relu")
    assert record.activations == names
    assert [a.units for a in record.schema.activations] == [9, 7, 6]
    assert record.schema.unseen == ()
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    seen = [np.zeros([0, n], bool) for n in (9, 7, 6)]
    for number, outputs in enumerate(reference()):
        for row, y in enumerate(outputs):
            seen[row] = np.concatenate([seen[row], y > 0])
            values = {
                "zero_fraction": np.mean(y == 0),
                "activation_mean": y.mean(),
                "activation_rms": np.sqrt(np.mean(y**2)),
                "activation_max": np.abs(y).max(),
                "activation_nonfinite": 0,
                "saturated_fraction": np.mean(
                    1 - y**2 < 0.05 if row == 1 else y <= 0
                ),
            }
            for name, value in values.items():
                close(record[name][number, row], value, err_msg=name)
        assert np.isnan(record["dead_fraction"][number, 1])
        assert np.isnan(record["always_on_fraction"][number, 1])
        for row in (0, 2):
            dead = record["dead_fraction"][number, row]
            if len(seen[row]) < 40:
                assert np.isnan(dead)
            else:
                # The last batches that hold 40 examples: three of 16, of
                # which one may be smaller.
                last = seen[row][-window_rows(number) :]
                close(dead, np.mean(~last.any(axis=0)))
                on = record["always_on_fraction"][number, row]
                close(on, np.mean(last.all(axis=0)))


def window_rows(number):
    """Returns how many examples the last batches hold that hold 40."""
    sizes = [len(x) for x, _ in batches()][: number + 1]
    count = 0
    while count < 40:
        count += sizes.pop()
    return count


def test_batches_of_one_say_nothing_about_dead_units(tmp_path):
    """Seed 2 of the project: of one example a quarter of the units is zero."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((1,)),
            layers.Dense(16, "relu", bias_initializer="random_normal"),
            layers.Dense(1),
        ]
    )
    optimizer = keras.optimizers.SGD(1e-3)
    gradscope.wrap(optimizer, tmp_path, every=1, window=100)
    model.compile(optimizer, "mse", jit_compile=False)
    x = np.random.default_rng(0).uniform(-1, 1, [300, 1]).astype("float32")
    model.fit(x, x**2, batch_size=1, verbose=0)
    record = gradscope.read(tmp_path)
    assert (record["zero_fraction"][:, 0] > 0.2).mean() > 0.5
    dead = record["dead_fraction"][:, 0]
    assert np.isnan(dead[:99]).all()
    assert (dead[99:] == 0).all()


def test_dead_and_always_on_units_are_counted_and_may_revive(tmp_path):
    class Three(layers.Layer):
        """Units that are dead, always on and alive, from a moment on."""

        def build(self, shape):
            self.bias = self.add_weight(shape=[3], initializer="zeros")

        def call(self, x):
            return tf.nn.relu(x[:, :3] + self.bias)

    model = keras.Sequential(
        [keras.Input((12,)), Three(name="three"), layers.Dense(3)]
    )
    optimizer = keras.optimizers.SGD(0.0)
    gradscope.wrap(optimizer, tmp_path, every=1, window=30)
    model.compile(optimizer, loss(), jit_compile=False)
    bias = model.layers[0].bias
    for values in ([-99.0, 99.0, 0.0], [0.0, 0.0, 0.0]):
        bias.assign(values)
        model.fit(X[:96], Y[:96], batch_size=16, shuffle=False, verbose=0)
    record = gradscope.read(tmp_path)
    (name,) = record.activations
    assert name == "three/relu"
    for statistic in ("dead_fraction", "always_on_fraction"):
        shares = record[statistic][:, 0]
        assert np.isnan(shares[0])
        np.testing.assert_allclose(shares[1:6], 1 / 3)
        assert (shares[6:] == 0).all()


class Everything(keras.Model):
    """Activations in all ways in which they are written."""

    def __init__(self):
        super().__init__(name="everything")
        self.convolution = layers.Conv2D(4, 3, activation="relu", name="conv")
        self.leaky = layers.LeakyReLU(name="leaky")
        self.dense = layers.Dense(8, name="dense")
        self.shared = layers.Dense(8, activation="elu", name="shared")
        self.timed = layers.TimeDistributed(
            layers.Dense(5, activation="relu6", name="inner"), name="timed"
        )
        self.recurrent = layers.LSTM(4, name="lstm")
        self.inner = keras.Sequential(
            [layers.Dense(8, activation="selu", name="deep")], name="nested"
        )
        self.outputs_of = layers.Dense(3, activation="softmax", name="out")

    def call(self, x):
        x = keras.ops.reshape(x, [-1, 4, 3, 1])
        x = self.leaky(self.convolution(x))
        x = self.timed(keras.ops.reshape(x, [-1, 2, 4]))
        x = self.recurrent(x)
        x = tf.nn.relu(self.dense(x))
        x = self.shared(self.shared(x))
        x = keras.ops.silu(x)
        x = keras.activations.gelu(x)
        x = keras.ops.gelu(x, approximate=True)
        x = keras.activations.softplus(keras.ops.softsign(x))
        return self.outputs_of(self.inner(x))


def test_activations_are_found_however_they_are_written(tmp_path):
    keras.utils.set_random_seed(0)
    model = Everything()
    optimizer = keras.optimizers.SGD(0.01)
    gradscope.wrap(optimizer, tmp_path, every=1, window=50)
    model.compile(
        optimizer, "sparse_categorical_crossentropy", jit_compile=False
    )
    model.fit(X, Y, batch_size=16, epochs=1, verbose=0)
    record = gradscope.read(tmp_path)
    kinds = [a.kind for a in record.schema.activations]
    single = "leaky_relu relu6 silu softplus softsign selu softmax".split()
    for kind in (*single, "sigmoid", "tanh"):
        assert kind in kinds, kind
    assert all(kinds.count(kind) == 1 for kind in single)
    # Twice: of the convolution, and of the model's own call.
    assert kinds.count("relu") == 2
    # A layer that is called twice, and both kinds of GELU.
    assert kinds.count("elu") == kinds.count("gelu") == 2
    assert len(set(record.activations)) == len(kinds)
    for name in (
        "conv/relu",
        "leaky/leaky_relu",
        "timed/relu6",
        "dense/relu",
        "shared/elu",
        "shared/elu_1",
        "nested/deep/selu",
        "out/softmax",
    ):
        assert name in record.activations, record.activations
    # The loop over time has the gates of its later steps inside.
    assert any("lstm" in name for name in record.schema.unseen)
    assert (record["activation_nonfinite"] == 0).all()


def test_a_retraced_step_goes_on_counting(tmp_path):
    """The last batch of an epoch is smaller, and of another program."""
    record = train("fit_graph", network(), tmp_path, window=150)
    assert np.isfinite(record["dead_fraction"][9:, 0]).all()
    assert len(record.steps) == STEPS


@pytest.mark.parametrize(
    "arguments, reason",
    [
        ({"run_eagerly": True}, "eager steps have no graph"),
        ({"jit_compile": True}, "steps that XLA compiles"),
    ],
    ids=["eager", "jit"],
)
def test_where_activations_are_not_observed_is_told(
    arguments, reason, tmp_path
):
    model = network()
    optimizer = gradscope.wrap(keras.optimizers.SGD(0.1), tmp_path)
    model.compile(optimizer, loss(), **arguments)
    model.fit(X[:32], Y[:32], verbose=0)
    record = gradscope.read(tmp_path)
    assert record.activations == ()
    assert record.schema.unseen == (reason,)


@pytest.mark.parametrize("window", [0, -5, 2.5, True, "many", None])
def test_the_window_is_a_number_of_examples(window, tmp_path):
    with pytest.raises(
        ValueError, match=r"`window` must be a whole number of "
    ):
        gradscope.wrap(keras.optimizers.SGD(), tmp_path, window=window)
