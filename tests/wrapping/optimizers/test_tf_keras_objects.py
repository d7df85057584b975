"""An observed optimizer of tf_keras stays what it was, in files too."""

import copy
import os
import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tf_keras_training import (
    OPTIMIZERS,
    X,
    Y,
    current,
    legacy,
    loss,
    plain_network,
    train,
    variables,
)
from thinning import thinned

import gradscope

KINDS = {"current": current, "legacy": legacy}
LossScaleOptimizer = tf_keras.mixed_precision.LossScaleOptimizer


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


@pytest.fixture(params=["adam", "legacy_adam"])
def name(request):
    return request.param


def step(optimizer, gradient, variable, **options):
    pairs = [(tf.constant(gradient), variable)]
    return optimizer.apply_gradients(pairs, **options)


def run_script(script, **environment):
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | environment,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def test_the_optimizer_stays_the_same_object(kind, tmp_path):
    optimizer = kind.Adam()
    before = (type(optimizer), optimizer.get_config(), variables(optimizer))
    attributes = dict(vars(optimizer))
    assert gradscope.wrap(optimizer, tmp_path) is optimizer
    after = (type(optimizer), optimizer.get_config(), variables(optimizer))
    assert after == before
    assert gradscope.unwrap(optimizer) is optimizer
    assert dict(vars(optimizer)) == attributes


@pytest.mark.parametrize("wrapper", [lambda f: f, tf.function])
def test_variables_have_the_names_that_they_would_have(kind, wrapper, tmp_path):
    def names(observed):
        one, other = kind.Adam(), kind.Adam()
        if observed:
            for number, optimizer in enumerate((one, other)):
                gradscope.wrap(optimizer, tmp_path / str(number))

        @wrapper
        def run():
            # The second is another `Adam` in the same graph.
            with tf.name_scope("outside"):
                step(one, [1.0], first)
            step(other, [1.0], second)

        first, second = (tf.Variable([1.0], name=n) for n in ("a/w", "b/w"))
        run()
        return [v.name for o in (one, other) for v in variables(o)]

    assert names(True) == names(False)


def test_a_copy_of_the_optimizer_is_not_observed(kind, tmp_path):
    optimizer = gradscope.wrap(kind.SGD(0.1), tmp_path)
    copies = [type(optimizer).from_config(optimizer.get_config())]
    if kind is legacy:  # a current one cannot be copied, observed or not
        copies.append(copy.deepcopy(optimizer))
    for other in copies:
        variable = tf.Variable([1.0])
        step(other, [1.0], variable)
        np.testing.assert_allclose(variable.numpy(), [0.9])
    with pytest.raises(FileNotFoundError):
        gradscope.read(tmp_path)


def test_checkpoints_hold_no_extra_variable_and_resume(name, tmp_path):
    def names(observed):
        model, optimizer = plain_network(), OPTIMIZERS[name]()
        if observed:
            gradscope.wrap(optimizer, tmp_path / "run")
        model.compile(optimizer, loss())
        model.fit(X, Y, batch_size=16, verbose=0)
        checkpoint = tf.train.Checkpoint(optimizer=optimizer, model=model)
        path = checkpoint.save(str(tmp_path / f"checkpoint{observed}"))
        return path, [name for name, _ in tf.train.list_variables(path)]

    path, expected = names(False)
    assert names(True)[1] == expected
    # The count of a legacy optimizer is restored when it is made.
    model, optimizer = plain_network(), OPTIMIZERS[name]()
    gradscope.wrap(optimizer, tmp_path / "resumed")
    tf.train.Checkpoint(optimizer=optimizer, model=model).restore(path)
    model.compile(optimizer, loss())
    model.fit(X, Y, batch_size=16, verbose=0)
    steps = gradscope.read(tmp_path / "resumed").steps
    assert steps.tolist() == list(range(9, 18))


@pytest.mark.parametrize(
    "form, name",
    thinned(
        [
            (form, name)
            for form in ("model.keras", "model.h5", "saved")
            for name in ("adam", "legacy_adam")
        ],
        fast=[("saved", "legacy_adam")],
    ),
)
def test_a_saved_model_is_the_same_where_gradscope_is_not_installed(
    form, name, tmp_path
):
    options = {"logdir": tmp_path / "run", "make": plain_network}
    paths = []
    for how in (None, "wrap"):
        model, _ = train("fit_graph", name, how=how, **options)
        paths.append(str(tmp_path / str(how) / form))
        os.mkdir(tmp_path / str(how))
        model.save(paths[-1])
    script = f"""
        import sys
        sys.modules["gradscope"] = None
        import tf_keras, numpy as np
        states = []
        for path in {paths!r}:
            model = tf_keras.models.load_model(path)
            variables = model.optimizer.variables
            variables = variables() if callable(variables) else variables
            states.append([v.numpy() for v in [*model.variables, *variables]])
            model.fit(np.zeros([4, 6]), np.zeros([4]), verbose=0)
        for a, b in zip(*states, strict=True):
            np.testing.assert_array_equal(a, b)
    """
    run_script(script)
    if form == "saved":
        plain, observed = (
            tf.train.list_variables(f"{path}/variables/variables")
            for path in paths
        )
        assert plain == observed


def test_errors_of_the_optimizer_are_the_same(kind, tmp_path):
    def messages(optimizer):
        known, other = tf.Variable([1.0]), tf.Variable([1.0])
        optimizer.apply_gradients([(tf.ones([1]), known)])
        texts = []
        for pairs in (
            [(tf.ones([3]), known)],
            [(None, known)],
            [(tf.ones([1]), other)],
            None,
            [1],
        ):
            try:
                optimizer.apply_gradients(pairs)
                texts.append("none")
            except Exception as error:
                text = f"{type(error).__name__} {error}"
                texts.append(re.sub("0x[0-9a-f]+|_[0-9]+", "", text))
        return texts

    observed = gradscope.wrap(kind.SGD(0.1, momentum=0.9), tmp_path)
    assert messages(observed) == messages(kind.SGD(0.1, momentum=0.9))


@pytest.mark.parametrize("wrapper", [lambda f: f, tf.function])
def test_the_schema_tells_the_optimizer(kind, wrapper, tmp_path):
    optimizer = gradscope.wrap(kind.Adam(0.5), tmp_path)
    weight = tf.Variable([1.0])

    @wrapper
    def run():
        step(optimizer, [1.0], weight)

    run()
    described = gradscope.read(tmp_path).schema.optimizer
    assert described["class"] == "Adam"
    assert described["config"]["learning_rate"] == 0.5
    assert described["config"]["beta_1"] == pytest.approx(0.9)


def test_no_gradients_are_no_step(tmp_path):
    optimizer = gradscope.wrap(current.SGD(0.1), tmp_path)
    optimizer.apply_gradients([])
    step(optimizer, [1.0], tf.Variable([1.0]))
    assert gradscope.read(tmp_path).steps.tolist() == [0]


@pytest.mark.parametrize("wrapper", [lambda f: f, tf.function])
def test_a_failure_is_a_warning_and_training_goes_on(
    kind, wrapper, tmp_path, monkeypatch
):
    from gradscope.measuring import statistics

    def broken(*_):
        raise RuntimeError("no such luck")

    monkeypatch.setattr(statistics, "measure", broken)
    weight = tf.Variable([1.0])
    optimizer = gradscope.wrap(kind.SGD(0.5), tmp_path)

    @wrapper
    def run():
        step(optimizer, [1.0], weight)

    with pytest.warns(
        gradscope.GradscopeWarning, match=r"cannot observe SGD.*no such luck"
    ):
        run()
    run()
    assert weight.numpy() == 0


def test_a_variable_twice_in_a_call_is_told(tmp_path):
    weight = tf.Variable([1.0])
    optimizer = gradscope.wrap(legacy.SGD(0.25), tmp_path)
    with pytest.warns(
        gradscope.GradscopeWarning,
        match="one call contains the same variable twice",
    ):
        optimizer.apply_gradients([(tf.ones([1]), weight)] * 2)
    assert weight.numpy() == 0.5


def test_an_optimizer_that_does_not_aggregate_as_it_says_is_told(tmp_path):
    class Own(legacy.SGD):
        def apply_gradients(self, grads_and_vars, name=None, **_):
            for gradient, variable in grads_and_vars:
                variable.assign_sub(gradient)

    weight = tf.Variable([1.0])
    optimizer = gradscope.wrap(Own(0.25), tmp_path)
    with pytest.warns(
        gradscope.GradscopeWarning,
        match="never calls its own `_aggregate_gradients`",
    ):
        step(optimizer, [1.0], weight)
    assert weight.numpy() == 0


def test_a_dtensor_mesh_is_refused(tmp_path):
    optimizer = current.SGD(0.1)
    optimizer._mesh = "a mesh"
    with pytest.raises(
        NotImplementedError, match="it belongs to a DTensor mesh"
    ):
        gradscope.wrap(optimizer, tmp_path)


def test_a_strategy_that_is_not_supported_is_refused_or_told(tmp_path):
    central = tf.distribute.experimental.CentralStorageStrategy
    strategy = central(["CPU:0"], "CPU:0")
    text = "it belongs to a CentralStorageStrategy"
    with strategy.scope():
        for kind in (current, legacy):
            with pytest.raises(NotImplementedError, match=text):
                gradscope.wrap(kind.SGD(0.5), tmp_path)
    # A legacy optimizer learns of its strategy when it is called.
    optimizer = gradscope.wrap(legacy.SGD(0.5), tmp_path)
    with strategy.scope():
        weight = tf.Variable([1.0])
    with pytest.warns(gradscope.GradscopeWarning, match=text):
        strategy.run(lambda: step(optimizer, [1.0], weight) and None)
    np.testing.assert_allclose(weight.numpy(), [0.5])


def test_a_graph_of_tensorflow_1_is_refused_at_once_or_told(kind, tmp_path):
    optimizer = gradscope.wrap(kind.SGD(0.5), tmp_path / "before")
    text = "the graph mode of TensorFlow 1.*tf.compat.v1.train optimizer"
    with tf.Graph().as_default():
        with pytest.raises(NotImplementedError, match=text):
            gradscope.wrap(kind.SGD(0.5), tmp_path)
    if kind is current:  # which cannot work in such a graph
        return
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        weight = tf.Variable([1.0])
        with pytest.warns(gradscope.GradscopeWarning, match=text):
            train_op = step(optimizer, [1.0], weight)
        session.run(tf.compat.v1.global_variables_initializer())
        session.run(train_op)
        np.testing.assert_allclose(session.run(weight), [0.5])


def test_in_graph_mode_a_model_trains_without_us(tmp_path):
    script = f"""
        import numpy as np, tensorflow as tf, tf_keras, gradscope
        tf.compat.v1.disable_eager_execution()
        optimizer = tf_keras.optimizers.legacy.SGD(0.1)
        try:
            gradscope.wrap(optimizer, {str(tmp_path)!r})
        except NotImplementedError as error:
            print(error)
        layers = [tf_keras.Input((2,)), tf_keras.layers.Dense(1)]
        model = tf_keras.Sequential(layers)
        model.compile(optimizer, "mse")
        history = model.fit(np.ones([4, 2]), np.ones([4]), verbose=0)
        assert np.isfinite(history.history["loss"]).all()
    """
    assert "the graph mode of TensorFlow 1" in run_script(script)


@pytest.mark.slow
def test_as_tf_keras_inside_of_tensorflow(tmp_path):
    """With TF_USE_LEGACY_KERAS, and without Keras 3 being imported."""
    script = f"""
        import sys, numpy as np, tensorflow as tf, gradscope
        optimizer = tf.keras.optimizers.Adam()
        gradscope.wrap(optimizer, {str(tmp_path)!r})
        assert "tf_keras" in type(optimizer).__module__
        model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
        model.compile(optimizer, "mse")
        model.fit(np.ones([4, 2]), np.ones([4]), verbose=0)
        gradscope.flush()
        assert "keras" not in sys.modules
    """
    run_script(script, TF_USE_LEGACY_KERAS="1")
    assert gradscope.read(tmp_path).steps.tolist() == [0]


def test_what_is_neither_is_refused_with_all_kinds(tmp_path):
    with pytest.raises(
        TypeError, match=r"must be an optimizer of Keras 3 .*tf_keras"
    ):
        gradscope.wrap(tf_keras.optimizers.Adam, tmp_path)
