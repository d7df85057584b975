"""The loss of a loop of one's own, found in the graph of its step."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import gradscope

random = np.random.default_rng(0)
X = random.normal(size=(8, 12)).astype("float32")
Y = random.normal(size=(8, 1)).astype("float32")


def network():
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((12,)),
            keras.layers.Dense(4, "relu", name="hidden"),
            keras.layers.Dense(1, name="output"),
        ]
    )


def squared(y, p):
    return tf.reduce_mean((y - p) ** 2)


def penalised(y, p):
    return squared(y, p) * 2.0 + 0.1 * tf.reduce_mean(tf.abs(p))


def of_each(y, p):
    return tf.reshape((y - p) ** 2, [8])


def swished(y, p):
    """Its activation has a gradient of its own, as in EfficientNet."""
    return squared(y, tf.nn.silu(p))


@tf.custom_gradient
def doubled(value):
    return 2.0 * value, lambda slope: 2.0 * slope


def with_own_gradient(y, p):
    return 3.0 * doubled(squared(y, p))


def recorded(logdir, loss=squared, gradient=None, scale=False, **options):
    """The losses of three steps as the loop computes them, and the record."""
    model = network()
    optimizer = keras.optimizers.SGD(0.1)
    if scale:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    gradscope.wrap(optimizer, logdir, every=1, histograms=None, model=model)

    @functools.partial(tf.function, **options)
    def step(x, y):
        with tf.GradientTape(persistent=True) as tape:
            value = loss(y, model(x, training=True))
            target = optimizer.scale_loss(value) if scale else value
        weights = model.trainable_variables
        if gradient is None:
            gradients = tape.gradient(target, weights)
        else:
            gradients = gradient(tape, target, weights)
        optimizer.apply(gradients, weights)
        return value

    losses = [np.mean(step(tf.constant(X), tf.constant(Y))) for _ in range(3)]
    gradscope.unwrap(optimizer)
    return losses, gradscope.read(logdir)


@pytest.mark.parametrize(
    "loss", [squared, penalised, of_each, swished, with_own_gradient]
)
def test_the_loss_is_what_the_tape_was_asked_for(tmp_path, loss):
    losses, record = recorded(tmp_path, loss)
    assert record["loss"].tolist() == pytest.approx(losses, rel=1e-6)
    assert record.schema.loss_is_known


def test_a_loss_scale_is_no_part_of_the_loss(tmp_path):
    losses, record = recorded(tmp_path, scale=True)
    assert record["loss"].tolist() == pytest.approx(losses, rel=1e-6)


def test_a_loss_under_xla(tmp_path):
    losses, record = recorded(tmp_path, penalised, jit_compile=True)
    assert record["loss"].tolist() == pytest.approx(losses, rel=1e-5)


def slopes_of_slopes(tape, value, weights):
    with tf.GradientTape() as outer:
        outer.watch(value)
        inner = tape.gradient(value, weights)
        sizes = tf.add_n([tf.reduce_sum(g**2) for g in inner])
    return [g + 0 * sizes for g in inner]


def of_two(tape, value, weights):
    other = tf.reduce_sum(tf.stop_gradient(value) * weights[0])
    pairs = (tape.gradient(value, weights), tape.gradient(value, weights))
    return [a + b + 0 * other for a, b in zip(*pairs, strict=True)]


@pytest.mark.parametrize("gradient", [slopes_of_slopes, of_two])
def test_a_loss_that_is_not_certain_is_not_known(tmp_path, gradient):
    _, record = recorded(tmp_path, gradient=gradient)
    uncertain = gradient is of_two
    assert bool(np.isnan(record["loss"]).all()) == uncertain


def test_two_ends_are_no_loss(tmp_path):
    def with_metric(y, p):
        tf.reduce_mean(tf.abs(y - p))
        return squared(y, p)

    _, record = recorded(tmp_path, with_metric)
    assert np.isnan(record["loss"]).all()
    assert record.schema.loss_is_known is False


def test_of_two_models_in_a_step_each_has_its_loss(tmp_path):
    models = [network(), network()]
    optimizers = [keras.optimizers.SGD(0.1) for _ in models]
    for number, optimizer in enumerate(optimizers):
        gradscope.wrap(
            optimizer,
            tmp_path / str(number),
            every=1,
            histograms=None,
            model=models[number],
        )

    @tf.function
    def step(x, y):
        losses = []
        for number, model in enumerate(models):
            with tf.GradientTape() as tape:
                value = (number + 1) * squared(y, model(x, training=True))
            weights = model.trainable_variables
            optimizers[number].apply(tape.gradient(value, weights), weights)
            losses.append(value)
        return losses

    losses = [float(loss) for loss in step(tf.constant(X), tf.constant(Y))]
    for number, optimizer in enumerate(optimizers):
        gradscope.unwrap(optimizer)
        loss = gradscope.read(tmp_path / str(number))["loss"]
        assert loss.tolist() == pytest.approx([losses[number]], rel=1e-6)
