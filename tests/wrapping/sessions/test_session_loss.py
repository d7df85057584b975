"""The loss of a session's steps, as `minimize` was given it."""

import gc
import weakref

import numpy as np
import pytest
import tensorflow as tf

import gradscope

v1 = tf.compat.v1
STEPS = 6
random = np.random.default_rng(0)
X = random.normal(size=(STEPS, 8, 3)).astype("float32")


def network():
    x = v1.placeholder(tf.float32, [None, 3])
    kernel = v1.get_variable("layer/kernel", [3, 2])
    return x, tf.reduce_mean((x @ kernel - 1.0) ** 2)


def losses(logdir, build, feed=lambda x, step: {}):
    """Returns what was recorded, and what a session says."""
    with tf.Graph().as_default(), v1.Session() as session:
        v1.set_random_seed(0)
        x, loss = network()
        optimizer = v1.train.GradientDescentOptimizer(0.1)
        gradscope.wrap(optimizer, logdir, every=1, histograms=None)
        train = build(optimizer, loss)
        session.run(v1.global_variables_initializer())
        found = []
        for step in range(STEPS):
            fed = {x: X[step]} | feed(session.graph, step)
            found.append(session.run(loss, fed))
            session.run(train, {x: X[step]})
        gradscope.unwrap(optimizer)
    return gradscope.read(logdir)["loss"], found


def test_the_loss_that_is_minimised_is_recorded(tmp_path):
    recorded, found = losses(tmp_path, lambda o, loss: o.minimize(loss))
    np.testing.assert_allclose(recorded, found, rtol=1e-6)


def test_so_it_is_where_gradients_are_clipped(tmp_path):
    def build(optimizer, loss):
        pairs = optimizer.compute_gradients(loss)
        return optimizer.apply_gradients(
            [(tf.clip_by_value(g, -1, 1), v) for g, v in pairs]
        )

    recorded, found = losses(tmp_path, build)
    np.testing.assert_allclose(recorded, found, rtol=1e-6)


def test_a_loss_that_wants_to_be_fed_more_is_left_alone(tmp_path):
    def build(optimizer, loss):
        offset = v1.placeholder(tf.float32, [], name="offset")
        return optimizer.minimize(loss + offset)

    recorded, _ = losses(tmp_path, build)  # `train` runs without the offset
    assert np.isnan(recorded).all()


@pytest.mark.parametrize("parts", [2, 3])
def test_of_several_losses_none_is_the_whole(parts, tmp_path):
    def build(optimizer, loss):
        pairs = [optimizer.compute_gradients(loss)[0] for _ in range(parts)]
        mean = sum(g for g, _ in pairs) / parts
        return optimizer.apply_gradients([(mean, pairs[0][1])])

    recorded, _ = losses(tmp_path, build)
    assert np.isnan(recorded).all()


def test_a_loss_of_many_numbers_is_none(tmp_path):
    recorded, _ = losses(
        tmp_path, lambda o, loss: o.minimize(tf.stack([loss, loss]))
    )
    assert np.isnan(recorded).all()


def test_the_method_is_given_back(tmp_path):
    optimizer = v1.train.GradientDescentOptimizer(0.1)
    before = dict(vars(optimizer))
    gradscope.wrap(optimizer, tmp_path)
    assert "compute_gradients" in vars(optimizer)
    gradscope.unwrap(optimizer)
    assert vars(optimizer) == before


def test_a_loss_in_eager_mode_is_a_function(tmp_path):
    optimizer = v1.train.GradientDescentOptimizer(0.1)
    gradscope.wrap(optimizer, tmp_path, every=1)
    weight = tf.Variable([1.0, 2.0])
    optimizer.minimize(lambda: tf.reduce_sum(weight**2), var_list=[weight])
    gradscope.unwrap(optimizer)
    np.testing.assert_allclose(weight, [0.8, 1.6])


def test_what_is_only_looked_at_is_not_kept(tmp_path):
    optimizer = v1.train.GradientDescentOptimizer(0.1)
    gradscope.wrap(optimizer, tmp_path)
    weight = tf.Variable([1.0, 2.0])
    kept = [weakref.ref(loss) for loss in _looked_at(optimizer, weight)]
    gc.collect()
    assert sum(one() is not None for one in kept) <= 2
    gradscope.unwrap(optimizer)


def _looked_at(optimizer, weight):
    for factor in range(5):

        def loss(factor=factor):
            return factor * tf.reduce_sum(weight**2)

        optimizer.compute_gradients(loss, [weight])
        yield loss
