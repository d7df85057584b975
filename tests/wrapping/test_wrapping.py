"""An optimizer that is observed stays what it was."""

import copy
import json
import re
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_steps import adam, run_script, step_eagerly
from thinning import thinned
from training import X, Y, dense_model, fit, train

import gradscope
from gradscope.errors import GradscopeWarning


def test_a_directory_that_cannot_be_written_gives_one_warning():
    logdir = "/proc/no-such-process/run"
    with pytest.warns(GradscopeWarning, match="cannot write to") as warned:
        model, optimizer = train("fit_graph", "adam", how="wrap", logdir=logdir)
        gradscope.flush()
        gradscope.unwrap(optimizer)
    assert len([w for w in warned if w.category is GradscopeWarning]) == 1
    plain, _ = train("fit_graph", "adam")
    for a, b in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_errors_of_the_optimizer_are_the_same(tmp_path):
    def messages(optimizer):
        known, other = keras.Variable([1.0]), keras.Variable([1.0])
        optimizer.build([known])
        texts = []
        for grads, variables in [
            ([tf.ones([1])], [other]),
            ([None], [known]),
            ([tf.ones([3])], [known]),
        ]:
            with pytest.raises(Exception) as raised:
                optimizer.apply(grads, variables)
            texts.append(re.sub("0x[0-9a-f]+|_[0-9]+", "", str(raised.value)))
        return texts

    assert messages(gradscope.wrap(adam(), tmp_path)) == messages(adam())


def test_the_optimizer_stays_the_same_object(tmp_path):
    optimizer = adam()
    before = (type(optimizer), optimizer.get_config(), optimizer.variables)
    wrapped = gradscope.wrap(optimizer, tmp_path)
    assert wrapped is optimizer
    after = (type(optimizer), optimizer.get_config(), optimizer.variables)
    assert after == before


def test_unwrapping_leaves_nothing_behind(tmp_path):
    plain = adam()
    model = dense_model()
    fit(model, plain)
    attributes, own = dict(vars(plain)), model.train_function
    gradscope.wrap(plain, tmp_path, model=model)
    model.fit(X, Y, verbose=0)
    assert gradscope.unwrap(plain, model=model) is plain
    assert dict(vars(plain)) == attributes
    assert model.train_function is own
    steps = len(gradscope.read(tmp_path).steps)
    model.fit(X, Y, verbose=0)
    assert len(gradscope.read(tmp_path).steps) == steps


def test_a_function_traced_before_unwrap_records_no_more(tmp_path):
    variable = tf.Variable([1.0, 2.0])
    optimizer = adam()
    optimizer.build([variable])
    gradscope.wrap(optimizer, tmp_path, every=1)

    @tf.function
    def step():
        optimizer.apply([2 * variable], [variable])

    step()
    step()
    gradscope.unwrap(optimizer)
    step()
    assert gradscope.read(tmp_path).steps.tolist() == [0, 1]
    assert int(optimizer.iterations.numpy()) == 3


def test_a_copy_of_the_optimizer_is_not_observed(tmp_path):
    optimizer = gradscope.wrap(keras.optimizers.SGD(0.1), tmp_path)
    copied = copy.deepcopy(optimizer)
    clone = type(optimizer).from_config(optimizer.get_config())
    for other in (copied, clone):
        variable = keras.Variable([1.0])
        step_eagerly(other, variable)
        np.testing.assert_allclose(variable.numpy(), [0.9])
    with pytest.raises(FileNotFoundError):
        gradscope.read(tmp_path)


@pytest.mark.slow
def test_a_saved_model_loads_where_gradscope_is_not_installed(tmp_path):
    model, optimizer = train("fit_graph", "adam", how="wrap", logdir=tmp_path)
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "slots.npz", *[v.numpy() for v in optimizer.variables])
    script = f"""
        import sys
        sys.modules["gradscope"] = None
        import keras, numpy as np
        model = keras.models.load_model({str(tmp_path / "model.keras")!r})
        slots = np.load({str(tmp_path / "slots.npz")!r})
        assert len(model.optimizer.variables) == len(slots)
        for variable, slot in zip(model.optimizer.variables, slots.values()):
            np.testing.assert_array_equal(variable.numpy(), slot)
        model.fit(np.zeros([4, 12]), np.zeros([4]), verbose=0)
    """
    run_script(script)


def test_checkpoints_hold_no_extra_variable(tmp_path):
    def names(observed):
        variable = tf.Variable([1.0, 2.0], name="weight")
        optimizer = adam()
        if observed:
            gradscope.wrap(optimizer, tmp_path / "run")
        step_eagerly(optimizer, variable)
        checkpoint = tf.train.Checkpoint(optimizer=optimizer, weight=variable)
        path = checkpoint.save(str(tmp_path / "checkpoint"))
        return [name for name, _ in tf.train.list_variables(path)]

    assert names(True) == names(False)


def test_wrapping_after_the_step_was_traced_is_told(tmp_path):
    model, optimizer = train("fit_graph", "adam")
    gradscope.wrap(optimizer, tmp_path)
    with pytest.warns(GradscopeWarning, match="traced before `wrap`"):
        model.fit(X, Y, verbose=0)
    gradscope.flush()
    gradscope.unwrap(optimizer)  # it was said
    gradscope.wrap(optimizer, tmp_path, model=model)
    model.fit(X, Y, verbose=0)
    assert gradscope.read(tmp_path).steps[0] == 22 + 6


def test_a_cell_that_runs_twice_is_a_second_run(tmp_path):
    first = gradscope.wrap(adam(), tmp_path)
    step_eagerly(first, keras.Variable([1.0]), steps=5)
    gradscope.flush()
    second = gradscope.wrap(adam(), tmp_path)
    with pytest.warns(GradscopeWarning, match="the record of another training"):
        step_eagerly(second, keras.Variable([1.0]), steps=2)
        gradscope.flush()
    assert gradscope.read(tmp_path).steps.tolist() == [0, 1, 2, 3, 4]
    assert gradscope.read(tmp_path / "run_2").steps.tolist() == [0, 1]


class Hesitant(keras.optimizers.SGD):
    """Says `if` to a tensor, which works in a function thanks to AutoGraph."""

    def apply(self, grads, trainable_variables=None):
        if tf.reduce_sum(grads[0]) > 0:
            trainable_variables[0].assign_sub(0.5 * grads[0])


@pytest.mark.parametrize("observed", [False, True])
def test_autograph_reaches_the_users_optimizer(observed, tmp_path):
    variable = tf.Variable([1.0])
    optimizer = Hesitant()
    optimizer.build([variable])
    if observed:
        gradscope.wrap(optimizer, tmp_path)

    @tf.function
    def step(gradient):
        optimizer.apply([gradient], [variable])

    step(tf.constant([1.0]))
    step(tf.constant([-1.0]))
    assert variable.numpy() == 0.5


def test_tracing_says_nothing(tmp_path):
    script = f"""
        import keras, tensorflow as tf, gradscope
        variable = tf.Variable([1.0, 2.0])
        optimizer = keras.optimizers.SGD(0.1)
        optimizer.build([variable])
        gradscope.wrap(optimizer, {str(tmp_path)!r}, every=1)

        @tf.function
        def step():
            optimizer.apply([2 * variable], [variable])

        print("begin", flush=True)
        step()
    """
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert process.stdout.split("begin")[-1].strip() == ""


def test_layers_are_chosen_for_tensorboards_own_tabs(tmp_path):
    from expected import tensorboard_histograms

    train(
        "fit_graph",
        "sgd",
        how="wrap",
        logdir=tmp_path,
        include=["first", "logits/*"],
        exclude="*/bias",
    )
    gradscope.flush()
    assert set(tensorboard_histograms(tmp_path)) == {
        f"{kind}/{name}/kernel"
        for kind in ("gradients", "weights", "updates")
        for name in ("first", "logits")
    }


def test_under_a_loss_scale_the_gradients_are_unscaled(tmp_path):
    inner = keras.optimizers.SGD(0.1)
    optimizer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=1024.0)
    assert gradscope.wrap(optimizer, tmp_path) is optimizer
    variable = keras.Variable([1.0, 1.0])
    optimizer.apply([optimizer.scale_loss(tf.constant([3.0, 4.0]))], [variable])
    np.testing.assert_allclose(gradscope.read(tmp_path)["gradient_norm"], [[5]])
    gradscope.unwrap(optimizer)
    assert "apply" not in vars(inner)


@pytest.mark.parametrize("mode", ["fit_graph", "fit_eager", "loop_jit"])
def test_the_schema_tells_the_optimizer(mode, tmp_path):
    train(mode, "adam", how="wrap", logdir=tmp_path)
    described = gradscope.read(tmp_path).schema.optimizer
    assert described["class"] == "Adam"
    assert described["config"]["beta_1"] == 0.9
    rate = adam().get_config()["learning_rate"]
    assert described["config"]["learning_rate"] == pytest.approx(rate)
    json.dumps(described)


#: What fails, after, before and at the beginning of a step.
FAILING = {
    "after": "measuring.statistics.measure",
    "before": "wrapping.steps.step.Step._read_before",
    "at once": "wrapping.optimizers.keras_call.KerasCall.__init__",
}


FAILURES = [
    (when, mode)
    for when in FAILING
    for mode in ("fit_graph", "fit_eager", "loop_jit")
]


@pytest.mark.parametrize(
    "when, mode",
    thinned(
        FAILURES,
        fast=[
            ("after", "fit_graph"),
            ("before", "fit_graph"),
            ("at once", "fit_eager"),
        ],
    ),
)
def test_a_failure_of_gradscope_is_a_warning_and_training_goes_on(
    when, mode, tmp_path, monkeypatch
):
    def broken(*_):
        raise RuntimeError("no such luck")

    monkeypatch.setattr(f"gradscope.{FAILING[when]}", broken)
    with pytest.warns(GradscopeWarning, match=r"cannot observe Adam.*no such"):
        model, _ = train(mode, "adam", how="wrap", logdir=tmp_path)
    plain, _ = train(mode, "adam")
    for a, b in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
