"""Activations of a training: found, named, measured, counted."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from observed import FITS, MODES, train
from thinning import thinned
from training import STEPS, X, Y, batches, loop, loss

import gradscope
from gradscope.wrapping.forward import graph_search

WAYS = [(mode, "wrap") for mode in MODES] + [(fit, "callback") for fit in FITS]

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


@pytest.mark.parametrize(
    "mode, how",
    thinned(
        WAYS,
        fast=[
            way
            for way in WAYS
            if way not in (("fit_jit", "wrap"), ("fit_3_steps_jit", "wrap"))
        ],
    ),
)
def test_numbers_are_those_of_the_layers_outputs(mode, how, tmp_path):
    keras.utils.set_random_seed(3)
    record = train(mode, network(), tmp_path, how=how, window=40)
    names = ("first/relu", "second/tanh", "rectified/relu")
    assert record.activations == names
    assert [a.units for a in record.schema.activations] == [9, 7, 6]
    assert record.schema.unseen == ()
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
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
    assert kinds.count("elu") == 2
    assert kinds.count("gelu") == kinds.count("gelu_tanh") == 1
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


def test_eager_steps_are_seen_where_the_model_is_known(tmp_path):
    model = network()
    optimizer = gradscope.wrap(keras.optimizers.SGD(0.1), tmp_path)
    model.compile(optimizer, loss(), run_eagerly=True)
    model.fit(X[:32], Y[:32], verbose=0)
    record = gradscope.read(tmp_path)
    assert record.activations == ()
    assert record.schema.unseen == ("eager steps without `model=`",)


@pytest.mark.parametrize("mode", ["fit_graph", "fit_jit", "fit_eager"])
def test_activations_can_be_left_out(mode, tmp_path):
    record = train(mode, network(), tmp_path, activations=False)
    assert record.activations == record.schema.data == ()
    assert record.schema.states == record.schema.unseen == ()
    assert len(record.steps) == STEPS


def test_whether_activations_are_wanted_is_a_bool(tmp_path):
    with pytest.raises(
        TypeError, match=r"`activations` must be True or False, got 'all'\."
    ):
        gradscope.wrap(keras.optimizers.SGD(), tmp_path, activations="all")


def test_a_failure_costs_activations_and_no_gradients(tmp_path, monkeypatch):
    def fails(*arguments):
        raise ArithmeticError("no such luck")

    monkeypatch.setattr(graph_search, "find_forward_pass", fails)
    model = network()
    optimizer = gradscope.wrap(keras.optimizers.SGD(0.1), tmp_path)
    model.compile(optimizer, loss(), jit_compile=False)
    with pytest.warns(
        gradscope.GradscopeWarning,
        match=r"cannot observe the activations of this model: ArithmeticErr",
    ):
        model.fit(X[:32], Y[:32], verbose=0)
    gradscope.unwrap(optimizer)
    record = gradscope.read(tmp_path)
    assert (record["gradient_norm"] > 0).all()
    assert record.schema.unseen == ("ArithmeticError: no such luck",)


@pytest.mark.parametrize("window", [0, -5, 2.5, True, "many", None])
def test_the_window_is_a_number_of_examples(window, tmp_path):
    with pytest.raises(
        ValueError, match=r"`window` must be a whole number of "
    ):
        gradscope.wrap(keras.optimizers.SGD(), tmp_path, window=window)


def test_two_programs_of_one_optimizer_share_the_record(tmp_path):
    """A generator and a discriminator that one optimizer trains in turns."""
    keras.utils.set_random_seed(0)
    parts = {
        name: keras.Sequential(
            [
                keras.Input((12,), name=f"{name}_input"),
                layers.Dense(size, kind, name=f"{name}_hidden"),
                layers.Dense(3, name=f"{name}_logits"),
            ],
            name=name,
        )
        for name, size, kind in (("one", 5, "relu"), ("two", 6, "tanh"))
    }
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build([v for m in parts.values() for v in m.trainable_variables])
    gradscope.wrap(optimizer, tmp_path, every=1, window=10)

    def step_of(model):
        def step():
            with tf.GradientTape() as tape:
                value = loss()(Y[:16], model(X[:16]))
            grads = tape.gradient(value, model.trainable_variables)
            optimizer.apply(grads, model.trainable_variables)

        return tf.function(step)

    one, two = map(step_of, parts.values())
    for _ in range(3):
        one()
        two()
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == list(range(6))
    assert set(record.activations) == {
        "one/one_hidden/relu",
        "two/two_hidden/tanh",
    }
    rms = record["activation_rms"]
    first = record.activations.index("one/one_hidden/relu")
    assert np.isfinite(rms[::2, first]).all()
    assert np.isnan(rms[1::2, first]).all()
    assert np.isfinite(rms[1::2, 1 - first]).all()
    assert np.isnan(rms[::2, 1 - first]).all()


def test_what_is_inside_of_a_function_is_told_however_deep(tmp_path):
    weight = tf.Variable(tf.ones([12, 3]))
    optimizer = gradscope.wrap(keras.optimizers.SGD(0.1), tmp_path, every=1)
    optimizer.build([weight])

    @tf.function
    def inner(x):
        return tf.nn.relu(x @ weight)

    @tf.function
    def outer(x):
        return inner(x) + 1.0

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(outer(tf.constant(X[:4])))
        optimizer.apply(tape.gradient(value, [weight]), [weight])

    step()
    record = gradscope.read(tmp_path)
    assert record.activations == ()
    (name,) = record.schema.unseen
    assert "PartitionedCall" in name
