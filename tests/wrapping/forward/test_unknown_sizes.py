"""Images of all sizes, whose sizes are not known while a step is traced."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from image_sizes import BATCHES, FITS, LOOPS, data, images
from thinning import thinned
from training import state
from unknown_sizes import random, train

import gradscope


@functools.cache
def plain(mode):
    return state(*train(mode))


@functools.cache
def reference():
    """Returns the outputs of both activations in each step."""
    keras.utils.set_random_seed(5)
    model, optimizer = images(), keras.optimizers.SGD(0.05, momentum=0.9)
    look = keras.Model(
        model.inputs,
        [model.get_layer(n).output for n in ("large", "small")],
    )
    steps = []
    for x, y in BATCHES:
        steps.append([one.numpy() for one in look([x])])
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model([x], training=True) - y) ** 2)
        grads = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(grads, model.trainable_variables)
    return steps


OBSERVED = [(mode, "wrap") for mode in [*FITS, *LOOPS]]


OBSERVED += [(mode, "callback") for mode in FITS]


# XLA compiles a program for each size: 10 s each.
@pytest.mark.parametrize(
    "mode, how",
    thinned(
        OBSERVED,
        fast=[
            ("fit_graph", "callback"),
            ("fit_2_steps", "wrap"),
            ("fit_eager", "callback"),
            ("loop_function", "wrap"),
            ("loop_eager", "wrap"),
        ],
    ),
)
def test_images_of_all_sizes_train_as_they_would_and_are_measured(
    mode, how, tmp_path
):
    observed = state(*train(mode, tmp_path, how))
    for one, other in zip(plain(mode), observed, strict=True):
        np.testing.assert_array_equal(one, other)
    record = gradscope.read(tmp_path)
    assert record.activations == ("large/relu", "small/relu")
    assert record.schema.unseen == ()
    for step, outputs in enumerate(reference()):
        for row, y in enumerate(outputs):
            values = {
                "zero_fraction": np.mean(y == 0),
                "activation_mean": y.mean(),
                "activation_rms": np.sqrt(np.mean(y**2)),
                "activation_max": y.max(),
                "activation_nonfinite": 0,
                "saturated_fraction": np.mean(y == 0),
            }
            for name, value in values.items():
                np.testing.assert_allclose(
                    record[name][step, row], value, 1e-5, 1e-6, err_msg=name
                )


@pytest.mark.parametrize(
    "mode",
    thinned(
        ["fit_graph", "loop_function", "fit_eager"],
        fast=["fit_graph", "fit_eager"],
    ),
)
def test_units_are_dead_if_no_position_of_any_image_has_them(mode, tmp_path):
    train(mode, tmp_path, window=6)
    record = gradscope.read(tmp_path)
    fired = [[y.max((0, 1, 2)) > 0 for y in one] for one in reference()]
    for row in (0, 1):
        alive = np.any([one[row] for one in fired], axis=0)
        dead = record["dead_fraction"][2, row]
        assert dead == pytest.approx(np.mean(~alive))
    assert np.isnan(record["dead_fraction"][:2]).all()


TF_KERAS = {
    "graph": {},
    "2_steps": {"steps_per_execution": 2},
    "eager": {"run_eagerly": True},
}


@pytest.mark.parametrize(
    "mode, how",
    thinned(
        [(mode, how) for mode in TF_KERAS for how in ("wrap", "callback")],
        fast=[("graph", "callback"), ("eager", "wrap")],
    ),
)
def test_images_of_all_sizes_in_tf_keras(mode, how, tmp_path):
    def run(logdir=None):
        tf_keras.utils.set_random_seed(5)
        model = images(tf_keras)
        optimizer = tf_keras.optimizers.SGD(0.05, momentum=0.9)
        callbacks = []
        if logdir is not None and how == "wrap":
            gradscope.wrap(optimizer, logdir, every=1, model=model)
        elif logdir is not None:
            callbacks = [gradscope.Callback(logdir, every=1, findings=False)]
        model.compile(optimizer, "mse", **TF_KERAS[mode])
        dataset = data().apply(tf.data.experimental.assert_cardinality(3))
        model.fit(dataset, verbose=0, callbacks=callbacks)
        if logdir is not None and how == "wrap":
            gradscope.unwrap(optimizer)
        return [v.numpy() for v in [*model.variables, *optimizer.variables]]

    for one, other in zip(run(), run(tmp_path), strict=True):
        np.testing.assert_array_equal(one, other)
    record = gradscope.read(tmp_path)
    assert record.activations == ("large/relu", "small/relu")
    assert np.isfinite(record["zero_fraction"]).all()
    tf_keras.utils.set_random_seed(5)
    model = images(tf_keras)
    for row, name in enumerate(("large", "small")):
        look = tf_keras.Model(model.inputs, model.get_layer(name).output)
        y = look(BATCHES[0][0]).numpy()
        mean = record["activation_mean"][0, row]
        assert mean == pytest.approx(y.mean(), rel=1e-5)


@pytest.mark.parametrize("scopes", [("a", "b"), ("", "")])
@pytest.mark.parametrize("shape", [[None, None, 3], None])
def test_placeholders_of_a_session(shape, scopes, tmp_path):
    """Two calls of a layer are one activation if they have one scope."""
    v1 = tf.compat.v1
    batches = [
        (random.normal(size=[2, n, 3]), random.normal(size=[3, 5 - n, 3]))
        for n in (2, 4, 1)
    ]

    def run(logdir=None):
        with tf.Graph().as_default():
            x, y = (v1.placeholder(tf.float32, shape) for _ in range(2))
            keep = v1.placeholder(tf.float32, name="keep")
            kernel = v1.get_variable("kernel", initializer=tf.eye(3))

            def layer(tensor):
                if shape is None:
                    tensor = tf.reshape(tensor, [-1, 1, 3])
                hidden = tf.nn.relu(tf.einsum("abc,cd->abd", tensor, kernel))
                random = tf.random.stateless_uniform(tf.shape(hidden), [1, 2])
                return hidden * tf.cast(random < keep, tf.float32) / keep

            with v1.name_scope(scopes[0]):
                loss = tf.reduce_mean(layer(x) ** 2)
            with v1.name_scope(scopes[1]):
                loss += tf.reduce_mean(layer(y))
            optimizer = v1.train.GradientDescentOptimizer(0.1)
            if logdir is not None:
                gradscope.wrap(optimizer, logdir, every=1)
            train_op = optimizer.minimize(loss)
            values = []
            with v1.Session() as session:
                session.run(v1.global_variables_initializer())
                for a, b in batches:
                    session.run(train_op, {x: a, y: b, keep: 0.5})
                    values.append(session.run(kernel))
            if logdir is not None:
                gradscope.unwrap(optimizer)
        return np.array(values)

    kernels = run()
    np.testing.assert_array_equal(kernels, run(tmp_path))
    record = gradscope.read(tmp_path)
    before = [np.eye(3), *kernels[:-1]]
    for step, (batch, kernel) in enumerate(zip(batches, before, strict=True)):
        parts = [part.reshape(-1, 3) for part in batch]
        if scopes == ("", ""):
            parts = [np.concatenate(parts)]
        means = [np.mean(np.maximum(part @ kernel, 0)) for part in parts]
        found = record["activation_mean"][step]
        np.testing.assert_allclose(found, means, 1e-5)
    np.testing.assert_allclose(record["dropout_rate"], 0.5)
