"""Optimizers around others, eager mode, and whole programs of TensorFlow 1."""

import gc
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import sessions
import tensorflow as tf
from sessions import (
    KINDS,
    STEPS,
    Network,
    assert_same,
    norm,
    plain_steps,
    scaled,
    v1,
    written,
)
from thinning import thinned

import gradscope


@pytest.mark.parametrize(
    "scale, kind",
    [
        ("fixed", "reference"),
        ("fixed", "resource"),
        # TensorFlow 2's `cond` takes no reference variables.
        ("dynamic", "resource"),
    ],
)
def test_under_a_loss_scale_gradients_are_unscaled(scale, kind, tmp_path):
    scales = v1.train.experimental
    make = {
        "fixed": lambda: scales.FixedLossScale(128.0),
        "dynamic": lambda: scales.DynamicLossScale(1024.0),
    }[scale]
    notes, network = scaled(tmp_path, make, kind)
    assert_same(notes, scaled(None, make, kind)[0])
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == list(range(STEPS))
    known = 128 if scale == "fixed" else np.nan
    np.testing.assert_array_equal(record["loss_scale"], known)
    # The first step of momentum is the gradient times the rate.
    np.testing.assert_allclose(
        record["gradient_norm"][0],
        [
            norm(notes[1][v.name] - notes[0][v.name]) / 0.1
            for v in network.variables
        ],
        rtol=1e-4,
    )


def test_steps_that_a_dynamic_loss_scale_skips_are_no_steps(tmp_path):
    network = Network()
    with network.graph.as_default():
        scales = v1.train.experimental
        optimizer = scales.MixedPrecisionLossScaleOptimizer(
            v1.train.GradientDescentOptimizer(0.1),
            scales.DynamicLossScale(1024.0),
        )
        gradscope.wrap(optimizer, tmp_path, every=1)
        train_op = optimizer.minimize(network.loss, network.step)
        session = v1.Session()
        session.run(v1.global_variables_initializer())
        feed = network.feed(0)
        for factor in (1, np.inf, 1):
            session.run(train_op, feed | {network.x: feed[network.x] * factor})
        assert session.run(network.step) == 2
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == [0, 1]
    np.testing.assert_array_equal(record["gradient_nonfinite"], 0)


def test_replicas_that_wait_for_each_other_are_observed_together(tmp_path):
    network = Network()
    with network.graph.as_default():
        optimizer = v1.train.SyncReplicasOptimizer(
            v1.train.GradientDescentOptimizer(0.1),
            replicas_to_aggregate=1,
            total_num_replicas=1,
        )
        assert gradscope.wrap(optimizer, tmp_path, every=1) is optimizer
        train_op = optimizer.minimize(network.loss, network.step)
        # What the chief's queue runner does, without its thread.
        updates = optimizer.get_chief_queue_runner().enqueue_ops
        session = v1.Session()
        session.run(v1.global_variables_initializer())
        session.run([optimizer.local_step_init_op, optimizer.chief_init_op])
        for number in range(3):
            session.run([train_op, updates], network.feed(number))
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == [0, 1, 2]
    expected = [norm(gradient) for gradient, _, _ in plain_steps("resource")[0]]
    np.testing.assert_allclose(record["gradient_norm"][0], expected, rtol=1e-5)


@pytest.mark.parametrize("with_step", [False, True])
@pytest.mark.parametrize(
    "wrapper",
    [lambda f: f, tf.function, tf.function(jit_compile=True)],
    ids=["eager", "function", "jit"],
)
def test_outside_of_sessions(wrapper, with_step, tmp_path):
    def trained(logdir):
        weight = tf.Variable([6.0, 8.0], name="layer/kernel")
        step = tf.Variable(7, dtype=tf.int64) if with_step else None
        optimizer = v1.train.MomentumOptimizer(0.5, 0.9)
        if logdir is not None:
            gradscope.wrap(optimizer, logdir, every=1)

        def train_step():
            with tf.GradientTape() as tape:
                loss = tf.nn.l2_loss(weight)
            grads = tape.gradient(loss, [weight])
            optimizer.apply_gradients(zip(grads, [weight], strict=True), step)

        train_step = wrapper(train_step)
        for _ in range(3):
            train_step()
        return weight.numpy()

    np.testing.assert_array_equal(trained(tmp_path), trained(None))
    record = gradscope.read(tmp_path)
    first = 7 if with_step else 0
    assert record.steps.tolist() == [first, first + 1, first + 2]
    assert record.variables == ("layer/kernel",)
    np.testing.assert_allclose(record["gradient_norm"][:2], [[10], [5]])
    np.testing.assert_allclose(record["update_norm"][0], [5])
    np.testing.assert_allclose(record["learning_rate"], 0.5)


def test_one_optimizer_in_eager_mode_and_in_a_graph(tmp_path):
    optimizer = v1.train.GradientDescentOptimizer(0.5)
    gradscope.wrap(optimizer, tmp_path)
    weight = tf.Variable([6.0, 8.0], name="kernel")
    optimizer.apply_gradients([(tf.ones([2]), weight)])
    with tf.Graph().as_default():
        other = v1.get_variable("other", initializer=[3.0, 4.0])
        train_op = optimizer.apply_gradients([(tf.ones([2]), other)])
        session = v1.Session()
        session.run(v1.global_variables_initializer())
        session.run(train_op)
        # The eager record is written too, while a graph is the default.
        gradscope.flush()
    assert len(written(tmp_path)) == 2


PROGRAM = """
import sys
import numpy as np
import tensorflow as tf
v1 = tf.compat.v1
sys.path.insert(0, {support!r})
{settings}
import gradscope, sessions
from gradscope.errors import GradscopeWarning
import warnings
warnings.simplefilter("error", GradscopeWarning)
{body}
"""


def run_program(settings, body, **environment):
    script = PROGRAM.format(
        support=os.path.dirname(sessions.__file__),
        settings=settings,
        body=textwrap.dedent(body),
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


BEHAVIOURS = {
    "cond_v1": ("v1.disable_v2_behavior()", ["reference", "resource"]),
    # TensorFlow 2's `cond` takes no reference variables, and the global step
    # is one here.
    "cond_v2": (
        "v1.disable_v2_behavior(); v1.enable_control_flow_v2()",
        [],
    ),
}


@pytest.mark.parametrize(
    "behaviour", thinned(list(BEHAVIOURS), fast=["cond_v1"])
)
def test_a_program_of_tensorflow_1(behaviour, tmp_path):
    """Reference variables are the default, and nothing is ever eager."""
    settings, scaled_kinds = BEHAVIOURS[behaviour]
    body = f"""
        for kind in sessions.KINDS:
            for name in ("adam", "sgd"):
                logdir = {str(tmp_path)!r} + f"/{{kind}}/{{name}}"
                notes, network = sessions.train(name, kind, logdir, every=2)
                plain, other = sessions.train(name, kind)
                sessions.assert_same(notes, plain)
                assert network.graph.collections == other.graph.collections
                record = gradscope.read(logdir)
                assert record.steps.tolist() == list(range(sessions.STEPS))
                assert list(record.variables) == network.names
        # In branches; a dynamic loss scale is one around its optimizer.
                logdir = {str(tmp_path)!r} + "/branch"
        notes = sessions.trained_in_a_branch(logdir)
        sessions.assert_same(notes, sessions.trained_in_a_branch(None))
        assert gradscope.read(logdir).steps.tolist() == [0, 1, 2]
        scale = lambda: v1.train.experimental.DynamicLossScale(1024.0)
        for kind in {scaled_kinds!r}:
            logdir = {str(tmp_path)!r} + "/scaled_" + kind
            notes, _ = sessions.scaled(logdir, scale, kind)
            sessions.assert_same(notes, sessions.scaled(None, scale, kind)[0])
            record = gradscope.read(logdir)
            assert record.steps.tolist() == list(range(sessions.STEPS))
            assert record["update_norm"].min() > 0
        # Written when the program ends.
        weight = v1.get_variable("weight", initializer=[3.0, 4.0])
        train_op = gradscope.wrap(
            v1.train.GradientDescentOptimizer(1.0), {str(tmp_path / "end")!r}
        ).minimize(tf.nn.l2_loss(weight))
        session = v1.Session()
        session.run(v1.global_variables_initializer())
        session.run(train_op)
        session.run(train_op)
    """
    run_program(settings, body)
    for kind in KINDS:
        record = gradscope.read(tmp_path / kind / "sgd")
        for number, step in enumerate(plain_steps(kind)):
            for row, (gradient, before, after) in enumerate(step):
                np.testing.assert_allclose(
                    [
                        record[name][number, row]
                        for name in (
                            "gradient_norm",
                            "weight_norm",
                            "update_norm",
                        )
                    ],
                    [norm(gradient), norm(before), norm(after - before)],
                    rtol=1e-5,
                )
    record = gradscope.read(tmp_path / "end")
    np.testing.assert_allclose(record["gradient_norm"], [[5.0], [0.0]])
    np.testing.assert_allclose(record["weight_norm"], [[5.0], [0.0]])


@pytest.mark.slow
def test_a_session_that_compiles_clusters(tmp_path):
    body = f"""
        config = v1.ConfigProto()
        level = v1.OptimizerOptions.ON_1
        config.graph_options.optimizer_options.global_jit_level = level

        def trained(name, logdir):
            network = sessions.Network()
            with network.graph.as_default():
                optimizer = sessions.OPTIMIZERS[name](network.step)
                if logdir is not None:
                    gradscope.wrap(optimizer, logdir, every=1)
                train_op = optimizer.minimize(network.loss, network.step)
                session = v1.Session(config=config)
                session.run(v1.global_variables_initializer())
            return network.run(train_op, session=session)

        for name in ("sgd", "adam"):
            logdir = {str(tmp_path)!r} + "/" + name
            sessions.assert_same(trained(name, logdir), trained(name, None))
            record = gradscope.read(logdir)
            assert record.steps.tolist() == list(range(sessions.STEPS))
            assert record["update_norm"].min() > 0
    """
    flags = "--tf_xla_cpu_global_jit --tf_xla_min_cluster_size=1"
    run_program("", body, TF_XLA_FLAGS=flags)


IMPORT = """
    with tf.Graph().as_default(), v1.Session() as session:
        saver = v1.train.import_meta_graph({model!r} + ".meta")
        saver.restore(session, {model!r})
        train_op, = v1.get_collection("train_op")
        for number in range(3):
            feed = sessions.BATCHES[number]
            session.run(train_op, dict(zip(["x:0", "words:0"], feed)))
        step = v1.train.get_global_step()
        assert session.run(step) == sessions.STEPS + 3
"""


def test_a_graph_that_is_imported_elsewhere_trains_on(tmp_path):
    """Where there is nobody to deliver to."""
    network = Network()
    with network.graph.as_default():
        optimizer = v1.train.AdamOptimizer(0.1)
        gradscope.wrap(optimizer, tmp_path / "run", every=1)
        train_op = optimizer.minimize(network.loss, network.step)
        session = v1.Session()
        session.run(v1.global_variables_initializer())
        network.run(train_op, session=session)
        model = v1.train.Saver().save(session, str(tmp_path / "model"))
    script = textwrap.dedent(IMPORT).format(model=model)
    run_program("", script)
    # Here, too, when the graph that it was is gone.
    gradscope.unwrap(optimizer)
    del network, optimizer, train_op, session
    gc.collect()
    exec(script, {"tf": tf, "v1": v1, "sessions": sessions})
    assert gradscope.read(tmp_path / "run").steps.tolist() == list(range(STEPS))
