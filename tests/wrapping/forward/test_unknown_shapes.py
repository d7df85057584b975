"""Parts of a network that get no example, batches without any, ragged tensors,
and tensors of which not even the rank is known."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from thinning import thinned
from training import state
from unknown_sizes import random, train

import gradscope

layers = keras.layers


class Experts(keras.Model):
    """Each example goes to one of two layers of one width."""

    def __init__(self):
        super().__init__()
        self.one = layers.Dense(5, "relu", name="one")
        self.two = layers.Dense(5, "relu", name="two")

    def build(self, shape):
        self.one.build(shape)
        self.two.build(shape)
        self.built = True

    def call(self, x):
        first = x[:, 0] > 0
        outputs = [
            self.one(tf.boolean_mask(x, first)),
            self.two(tf.boolean_mask(x, ~first)),
        ]
        return tf.concat(outputs, axis=0)


def for_experts():
    x, y = random.normal(size=(6, 3)).astype("f"), np.zeros([6, 5], "f")
    return [(x, y), (np.abs(x), y)]


@pytest.mark.parametrize(
    "mode",
    thinned(
        ["fit_graph", "loop_function", "loop_eager"],
        fast=["fit_graph", "loop_eager"],
    ),
)
def test_an_expert_without_examples_hides_no_other(mode, tmp_path):
    batches = for_experts()
    make = functools.partial(train, mode, make=Experts, batches=batches)
    observed = state(*make(tmp_path))
    for one, other in zip(state(*make()), observed, strict=True):
        np.testing.assert_array_equal(one, other)
    record = gradscope.read(tmp_path)
    assert record.activations == ("one/relu", "two/relu")
    keras.utils.set_random_seed(5)
    model = Experts()
    model.build((None, 3))
    x = batches[0][0]
    for row, (layer, part) in enumerate(
        ((model.one, x[x[:, 0] > 0]), (model.two, x[x[:, 0] <= 0]))
    ):
        y = layer(part).numpy()
        zero = record["zero_fraction"][0, row]
        assert zero == pytest.approx(np.mean(y == 0), abs=1e-6)
        mean = record["activation_mean"][0, row]
        assert mean == pytest.approx(y.mean(), rel=1e-5)
    # The second batch has nothing for the second expert.
    for name in ("zero_fraction", "activation_mean", "activation_max"):
        assert np.isfinite(record[name][1, 0])
        assert np.isnan(record[name][1, 1])
    assert record["activation_nonfinite"][1].tolist() == [0, 0]


@pytest.mark.parametrize("mode", ["fit_graph", "fit_jit", "fit_eager"])
def test_a_batch_without_examples_is_a_step_without_numbers(mode, tmp_path):
    def make():
        return keras.Sequential(
            [
                keras.Input((3,)),
                layers.Dense(4, "relu"),
                layers.Dropout(0.5),
                layers.Dense(4, "relu"),
                layers.Dense(1),
            ]
        )

    x = random.normal(size=(6, 3)).astype("f")
    batches = [(x, x), (x[:0], x[:0]), (x[:1], x[:1])]
    run = functools.partial(train, mode, make=make, batches=batches)
    observed = state(*run(tmp_path))
    for one, other in zip(state(*run()), observed, strict=True):
        np.testing.assert_array_equal(one, other)
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == [0, 1, 2]
    for name in ("zero_fraction", "activation_max", "data_mean", "data_max"):
        known = np.isfinite(record[name])
        assert known.all(axis=1).tolist() == [True, False, True], name
        assert not known[1].any()


class Sum(keras.Sequential):
    """Trains on targets of which not even the rank is known."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}

    def compute_loss(self, x=None, y=None, y_pred=None, **_):
        return tf.reduce_mean((tf.reshape(y, [-1, 1]) - y_pred) ** 2)


@pytest.mark.parametrize("how", ["wrap", "callback"])
def test_targets_of_unknown_rank(how, tmp_path):
    """As everything that comes out of a `tf.numpy_function` is."""

    def with_sum(x):
        total = functools.partial(np.sum, axis=1, keepdims=True)
        return x, tf.numpy_function(total, [x], tf.float32)

    x = random.normal(size=(7, 3)).astype("f")
    dataset = tf.data.Dataset.from_tensor_slices(x).batch(4).map(with_sum)

    def run(logdir=None):
        keras.utils.set_random_seed(1)
        model = Sum(
            [keras.Input((3,)), layers.Dense(4, "relu"), layers.Dense(1)]
        )
        optimizer = keras.optimizers.Adam(0.1)
        callbacks = []
        if logdir is not None and how == "wrap":
            gradscope.wrap(optimizer, logdir, every=1, model=model)
        elif logdir is not None:
            callbacks = [gradscope.Callback(logdir, every=1, findings=False)]
        model.compile(optimizer, jit_compile=False)
        model.fit(dataset, verbose=0, callbacks=callbacks)
        if logdir is not None and how == "wrap":
            gradscope.unwrap(optimizer)
        return state(model, optimizer)

    for one, other in zip(run(), run(tmp_path), strict=True):
        np.testing.assert_array_equal(one, other)
    record = gradscope.read(tmp_path)
    names = [one.name for one in record.schema.data]
    target = record["data_mean"][:, names.index("target")]
    sums = x.sum(axis=1)
    np.testing.assert_allclose(target, [sums[:4].mean(), sums[4:].mean()], 1e-5)
    spread = record["data_variation"][:, names.index("target")]
    np.testing.assert_allclose(spread, [sums[:4].std(), sums[4:].std()], 1e-5)


def test_rows_of_ragged_tensors_are_examples(tmp_path):
    dense = layers.Dense(5, name="dense")
    dense.build((None, 3))
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(dense.trainable_variables)
    gradscope.wrap(optimizer, tmp_path, every=1)
    spec = tf.RaggedTensorSpec([None, None, 3], tf.float32, ragged_rank=1)

    @tf.function(input_signature=[spec])
    def step(x):
        with tf.GradientTape() as tape:
            y = tf.ragged.map_flat_values(dense, x)
            loss = tf.reduce_mean(tf.nn.relu(y).flat_values)
        variables = dense.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)

    x = random.normal(size=(6, 3)).astype("f")
    expected = []
    for values, splits in ((x, [0, 2, 6]), (x[:3], [0, 0, 3])):
        expected.append(np.mean(np.maximum(dense(values), 0)))
        step(tf.RaggedTensor.from_row_splits(values, splits))
    gradscope.unwrap(optimizer)
    found = gradscope.read(tmp_path)["activation_mean"][:, 0]
    np.testing.assert_allclose(found, expected, 1e-5)


def test_activations_of_unknown_width_or_rank_are_told_by_name(tmp_path):
    """A softmax over as many keys as there happen to be."""
    weight = tf.Variable([[0.5, -0.5, 1.0]])
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build([weight])
    gradscope.wrap(optimizer, tmp_path, every=1)

    @tf.function(
        input_signature=[tf.TensorSpec([None, 3]), tf.TensorSpec(None)]
    )
    def step(x, anything):
        with tf.GradientTape() as tape:
            scores = tf.nn.softmax(tf.matmul(x * weight, x, transpose_b=True))
            any_rank = tf.nn.relu(anything * weight[0, 0])
            loss = tf.reduce_sum(scores**2) + tf.reduce_mean(any_rank)
        optimizer.apply(tape.gradient(loss, [weight]), [weight])

    step(tf.ones([4, 3]), tf.ones([2, 1, 3]))
    gradscope.unwrap(optimizer)
    record = gradscope.read(tmp_path)
    assert record.activations == ()
    assert record.schema.unseen == ("Softmax", "Relu")


def test_a_gradient_of_unknown_shape_may_be_one_number_for_all(tmp_path):
    """Adam adds it to each of its moments."""

    @tf.custom_gradient
    def total(x):
        def gradient(dy):
            return tf.numpy_function(np.float32, [dy * 3], tf.float32)

        return tf.reduce_sum(x), gradient

    def run(logdir=None):
        weight = tf.Variable([1.0, 2.0, 3.0])
        optimizer = keras.optimizers.Adam(0.1)
        optimizer.build([weight])
        if logdir is not None:
            gradscope.wrap(optimizer, logdir, every=1)

        @tf.function
        def step():
            with tf.GradientTape() as tape:
                loss = total(weight)
            optimizer.apply([tape.gradient(loss, weight)], [weight])

        step()
        if logdir is not None:
            gradscope.unwrap(optimizer)
        return weight.numpy()

    np.testing.assert_array_equal(run(), run(tmp_path))
    norm = gradscope.read(tmp_path)["gradient_norm"][0, 0]
    assert norm == pytest.approx(np.sqrt(27))
