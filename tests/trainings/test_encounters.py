"""What users do besides: each was a fault once."""

import os
import subprocess
import sys
import textwrap
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from thinning import thinned
from training import X, Y, fit, loop, loss

import gradscope
from gradscope.errors import GradscopeWarning
from gradscope.wrapping import seam_of


def network():
    keras.utils.set_random_seed(2)
    return keras.Sequential(
        [
            keras.Input((12,)),
            keras.layers.Dense(5, "relu"),
            keras.layers.Dense(3),
        ]
    )


def gradients_of(model):
    with tf.GradientTape() as tape:
        value = loss()(Y[:16], model(X[:16]))
    return tape.gradient(value, model.trainable_variables)


@pytest.mark.parametrize("compiled", [False, True])
def test_variables_may_come_from_a_generator(compiled, tmp_path):
    def trained(observed):
        model, optimizer = network(), keras.optimizers.SGD(0.1)
        if observed:
            gradscope.wrap(optimizer, tmp_path, every=1)
        optimizer.build(model.trainable_variables)

        def step():
            variables = (v for v in model.trainable_variables)
            optimizer.apply(gradients_of(model), variables)

        step = tf.function(step) if compiled else step
        for _ in range(3):
            step()
        return model.get_weights()

    for expected, actual in zip(trained(False), trained(True), strict=True):
        np.testing.assert_array_equal(actual, expected)
    assert (gradscope.read(tmp_path)["update_norm"] > 0).all()


def test_a_call_without_gradients_is_no_step(tmp_path):
    optimizer = gradscope.wrap(keras.optimizers.SGD(0.1), tmp_path, every=1)
    variable = keras.Variable([1.0])
    optimizer.apply([tf.ones([1])], [variable])
    optimizer.apply([])
    optimizer.apply([tf.ones([1])], [variable])
    assert gradscope.read(tmp_path).steps.tolist() == [0, 1]


@pytest.mark.parametrize("slots", thinned(["adam", "momentum"], fast=["adam"]))
def test_a_traced_step_may_be_called_inside_of_xla(slots, tmp_path):
    def trained(observed):
        model = network()
        optimizer = keras.optimizers.Adam(0.1)
        if slots == "momentum":
            optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
        if observed:
            gradscope.wrap(optimizer, tmp_path, every=2)
        optimizer.build(model.trainable_variables)

        @tf.function
        def step():
            optimizer.apply(gradients_of(model), model.trainable_variables)

        @tf.function(jit_compile=True)
        def outer():
            for _ in range(2):
                step()

        step()
        outer()
        outer()
        return [v.numpy() for v in [*model.variables, *optimizer.variables]]

    for expected, actual in zip(trained(False), trained(True), strict=True):
        np.testing.assert_array_equal(actual, expected)
    assert gradscope.read(tmp_path).steps.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "mode",
    thinned(["fit", "function", "eager", "session"], fast=["fit"]),
)
def test_the_check_of_numerics_looks_at_the_users_ops_alone(mode, tmp_path):
    script = f"""
        import numpy as np, keras, tensorflow as tf, gradscope
        tf.debugging.enable_check_numerics()
        mode, logdir = {mode!r}, {str(tmp_path)!r}
        x = np.random.default_rng(0).normal(size=[32, 4]).astype("float32")
        if mode == "session":
            v1 = tf.compat.v1
            with tf.Graph().as_default():
                w = v1.get_variable("w", [4, 1])
                value = tf.reduce_mean((x @ w) ** 2)
                adam = gradscope.wrap(v1.train.AdamOptimizer(), logdir)
                step = adam.minimize(value)
                with v1.Session() as session:
                    session.run(v1.global_variables_initializer())
                    for _ in range(3):
                        session.run(step)
        else:
            model = keras.Sequential([keras.Input((4,)),
                keras.layers.Dense(3, "relu"), keras.layers.Dense(1)])
            adam = gradscope.wrap(keras.optimizers.Adam(), logdir)
            model.compile(adam, "mse", run_eagerly=mode == "eager",
                          jit_compile=False)
            if mode == "function":
                adam.build(model.trainable_variables)
                @tf.function
                def step():
                    with tf.GradientTape() as tape:
                        value = tf.reduce_mean(model(x) ** 2)
                    variables = model.trainable_variables
                    adam.apply(tape.gradient(value, variables), variables)
                for _ in range(3):
                    step()
            else:
                model.fit(x, x[:, :1], batch_size=11, verbose=0)
        record = gradscope.read(logdir)
        assert record.steps.tolist() == [0, 1, 2]
        assert np.isnan(record["clipped_gradient_norm"]).all()
        # The user's own NaN is still found.
        if mode != "session":
            try:
                tf.math.log(tf.constant(-1.0))
            except tf.errors.InvalidArgumentError:
                print("found")
        else:
            print("found")
    """
    done = subprocess.run(
        [sys.executable, "-Werror::UserWarning", "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=200,
        env=os.environ,
    )
    assert done.stdout.strip() == "found", done.stderr[-3000:]


@pytest.mark.slow
def test_replicas_of_an_optimizer_made_outside_are_refused(tmp_path):
    script = f"""
        import numpy as np, keras, tensorflow as tf, gradscope
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0],
            [tf.config.LogicalDeviceConfiguration()] * 2,
        )
        strategy = tf.distribute.MirroredStrategy()
        sgd = gradscope.wrap(keras.optimizers.SGD(0.01), {str(tmp_path)!r})
        with strategy.scope():
            variable = keras.Variable([1.0, 2.0])
        def step():
            sgd.apply([tf.ones([2])], [variable])
        strategy.run(step)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert (
        "gradscope cannot observe SGD: it makes steps on 2 replicas but was "
        "created outside their strategy, so its own count of steps is wrong. "
        "Create the optimizer inside `strategy.scope()`. Training goes on "
        "without gradscope."
    ) in done.stderr
    assert not list(tmp_path.glob("gradscope/*tfevents*"))


def test_a_variable_twice_in_one_call_is_told(tmp_path):
    variable = keras.Variable([1.0])
    optimizer = gradscope.wrap(keras.optimizers.SGD(0.1), tmp_path)
    optimizer.build([variable])
    with pytest.warns(
        GradscopeWarning, match="contains the same variable twice, for"
    ):
        optimizer.apply([tf.ones([1])] * 2, [variable] * 2)
    np.testing.assert_allclose(variable.numpy(), [0.8], rtol=1e-6)


@pytest.mark.parametrize("kind", ["variable", "constant", "array"])
@pytest.mark.parametrize("jit", [False, True])
def test_gradients_may_be_anything_that_is_a_tensor(kind, jit, tmp_path):
    """As where gradients are accumulated by hand, in variables."""
    variable = tf.Variable([1.0, 2.0])
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build([variable])
    gradscope.wrap(optimizer, tmp_path, every=1)
    gradient = {
        "variable": tf.Variable([3.0, 4.0]),
        "constant": tf.constant([3.0, 4.0]),
        "array": np.array([3.0, 4.0], np.float32),
    }[kind]
    step = tf.function(
        lambda: optimizer.apply([gradient], [variable]), jit_compile=jit
    )
    step()
    np.testing.assert_array_equal(
        gradscope.read(tmp_path)["gradient_norm"], [[5.0]]
    )


def test_slices_of_many_lengths_are_not_traced_again_and_again(tmp_path):
    table = keras.Variable(np.ones([20, 4], "float32"))
    optimizer = gradscope.wrap(keras.optimizers.SGD(0.1), tmp_path, every=1)
    for count in range(1, 16):
        rows = tf.constant(np.arange(count))
        slices = tf.IndexedSlices(tf.ones([count, 4]), rows)
        optimizer.apply([slices], [table])
    record = gradscope.read(tmp_path)
    sizes = 4 * np.arange(1, 16)
    np.testing.assert_array_equal(record["gradient_size"][:, 0], sizes)
    (observer,) = seam_of(optimizer).observers.all
    assert observer._compiled.experimental_get_tracing_count() <= 3


class Lookahead(keras.optimizers.Optimizer):
    """An optimizer around another that is no loss scale."""

    def __init__(self, inner):
        super().__init__(1.0)
        self.inner_optimizer = inner

    def build(self, variables):
        super().build(variables)
        self.inner_optimizer.build(variables)

    def apply(self, grads, trainable_variables=None):
        self.inner_optimizer.apply(grads, trainable_variables)
        self._iterations.assign_add(1)


def test_an_optimizer_around_another_is_observed_as_it_is(tmp_path):
    variable = keras.Variable([1.0])
    optimizer = Lookahead(keras.optimizers.SGD(0.1))
    optimizer.build([variable])
    gradscope.wrap(optimizer, tmp_path, every=1)
    for _ in range(2):
        optimizer.apply([tf.ones([1])], [variable])
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == [0, 1]
    np.testing.assert_allclose(record["update_norm"], [[0.1]] * 2, rtol=1e-5)


def test_a_callback_that_sees_no_step_says_why(tmp_path):
    own = keras.optimizers.SGD(0.1)

    class OwnOptimizer(keras.Sequential):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                value = loss()(y, self(x))
            grads = tape.gradient(value, self.trainable_variables)
            own.apply(grads, self.trainable_variables)
            return {"loss": value}

    model = OwnOptimizer([keras.Input((12,)), keras.layers.Dense(3)])
    with pytest.warns(
        GradscopeWarning,
        match=r"neither `model.optimizer` \(RMSprop\) nor any other optimizer",
    ):
        fit(model, "rmsprop", callbacks=[gradscope.Callback(tmp_path)])


def test_a_warning_about_a_step_traced_before_is_given_once(tmp_path):
    variable = tf.Variable([1.0])
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build([variable])
    step = tf.function(lambda: optimizer.apply([2 * variable], [variable]))
    step()
    gradscope.wrap(optimizer, tmp_path)
    step()
    with pytest.warns(GradscopeWarning, match="has observed no step of this"):
        gradscope.flush()
    gradscope.flush()
    gradscope.unwrap(optimizer)


def test_a_choice_that_leaves_no_layer_is_told(tmp_path):
    model, optimizer = network(), keras.optimizers.SGD(0.1)
    gradscope.wrap(optimizer, tmp_path, include="nothing*")
    with pytest.warns(
        GradscopeWarning,
        match=r"`include=\['nothing\*'\]` leaves no layer .* layers: dense",
    ):
        loop(model, optimizer)
    assert len(gradscope.read(tmp_path).steps) == 22


@pytest.mark.parametrize("ends_by", ["flush", "unwrap"])
def test_a_discriminator_that_is_frozen_in_its_own_training_says_so(
    ends_by, tmp_path
):
    """As its flag is set after `compile`, and before its first batch."""
    discriminator = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(1, "sigmoid")]
    )
    optimizer = gradscope.wrap(
        keras.optimizers.Adam(), tmp_path, model=discriminator
    )
    discriminator.compile(optimizer, "binary_crossentropy")
    gradscope.flush()
    assert not list(tmp_path.rglob("*tfevents*"))  # nothing was trained so far
    discriminator.trainable = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras says so, too
        discriminator.train_on_batch(np.ones((4, 2)), np.ones((4, 1)))
    if ends_by == "flush":
        gradscope.flush(optimizer)
    else:
        gradscope.unwrap(optimizer)
    (finding,) = gradscope.diagnose(tmp_path)
    assert (finding.kind, finding.severity) == ("no-steps", "error")
    assert finding.evidence["is_frozen"]
