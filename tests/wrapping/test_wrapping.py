"""What wrapping promises besides its numbers: see test_bits, test_values."""

import copy
import gc
import json
import os
import re
import subprocess
import sys
import textwrap
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from thinning import thinned
from training import X, Y, dense_model, fit, train

import gradscope
from gradscope.errors import GradscopeWarning
from gradscope.recording import background, device_ring
from gradscope.recording.drain import Drain
from gradscope.schedule import At, Every, Seconds


def adam():
    return keras.optimizers.Adam(0.01)


def step_eagerly(optimizer, variable, steps=1):
    for _ in range(steps):
        optimizer.apply([tf.ones_like(variable)], [variable])


# Wrong use


def test_what_is_not_an_optimizer_is_refused(tmp_path):
    for wrong in ("adam", None, object(), keras.optimizers.Adam):
        with pytest.raises(
            TypeError, match="must be an instance of an optimizer of Keras 3"
        ):
            gradscope.wrap(wrong, tmp_path)


@pytest.mark.parametrize(
    "strategy",
    [
        tf.distribute.experimental.CentralStorageStrategy,
        tf.distribute.experimental.ParameterServerStrategy,
        tf.distribute.TPUStrategy,
    ],
)
def test_a_strategy_that_is_not_supported_is_refused(strategy, tmp_path):
    optimizer = keras.optimizers.SGD()
    # Made without its hardware, which is not at hand.
    optimizer._distribution_strategy = strategy.__new__(strategy)
    with pytest.raises(
        NotImplementedError,
        match=rf"belongs to a {strategy.__name__}.*, but only Mirrored.* are "
        r"supported\. Train with one of these",
    ):
        gradscope.wrap(optimizer, tmp_path)


def test_an_optimizer_is_wrapped_once(tmp_path):
    optimizer = gradscope.wrap(adam(), tmp_path / "a")
    with pytest.raises(ValueError, match="is already observed and writes to"):
        gradscope.wrap(optimizer, tmp_path / "b")


@pytest.mark.parametrize("every", [0, -1, 2.5, "10", True, None])
def test_every_must_be_a_count_or_a_schedule(every, tmp_path):
    with pytest.raises(ValueError, match="`every` must be a whole number"):
        gradscope.wrap(adam(), tmp_path, every=every)


@pytest.mark.parametrize("histograms", [0, "all"])
def test_histograms_must_be_a_count_or_a_schedule(histograms, tmp_path):
    with pytest.raises(ValueError, match="`histograms` must be a whole number"):
        gradscope.wrap(adam(), tmp_path, histograms=histograms)


def test_a_log_directory_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"must be a directory, .* is a file"):
        gradscope.wrap(adam(), tmp_path / "file")
    with pytest.raises(TypeError, match="`logdir` must be a path"):
        gradscope.wrap(adam(), None)


@pytest.mark.parametrize("name", ["include", "exclude"])
def test_patterns_must_be_strings(name, tmp_path):
    with pytest.raises(TypeError, match=f"`{name}` must be a pattern"):
        gradscope.wrap(adam(), tmp_path, **{name: [1]})


def test_after_a_refusal_the_optimizer_is_not_wrapped(tmp_path):
    optimizer = adam()
    with pytest.raises(ValueError):
        gradscope.wrap(optimizer, tmp_path, every=0)
    assert "apply" not in vars(optimizer)


def test_only_an_observed_optimizer_can_be_unwrapped_or_flushed():
    with pytest.raises(ValueError, match=r"not observed.*can be unwrapped"):
        gradscope.unwrap(adam())
    with pytest.raises(ValueError, match=r"not observed.*or None to flush all"):
        gradscope.flush(adam())


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


# The optimizer stays what it was


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
    assert int(optimizer.iterations) == 3


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


# No step that was due is lost


def test_the_default_schedule_is_dense_at_the_start(tmp_path):
    variable = keras.Variable([1.0])
    optimizer = gradscope.wrap(adam(), tmp_path)
    step_eagerly(optimizer, variable, steps=75)
    expected = [*range(50), 50, 60, 70]
    assert gradscope.read(tmp_path).steps.tolist() == expected


def test_a_resumed_run_goes_on_with_the_optimizers_step(tmp_path):
    optimizer = adam()
    optimizer.iterations.assign(996)
    gradscope.wrap(optimizer, tmp_path)
    step_eagerly(optimizer, keras.Variable([1.0]), steps=20)
    assert gradscope.read(tmp_path).steps.tolist() == [1000, 1010]


# Each compiles all of it anew: with XLA 120 s on two busy cores.
@pytest.mark.parametrize(
    ("jit", "new_callback"),
    thinned(
        [(False, False), (False, True), (True, True)],
        fast=[(False, True)],
    ),
)
def test_fits_and_compiles_follow_each_other_without_a_gap(
    jit, new_callback, tmp_path
):
    model, optimizer = dense_model(), adam()
    callback = gradscope.Callback(tmp_path, every=Every(4, dense=0))
    for _ in range(2):
        if new_callback:
            callback = gradscope.Callback(tmp_path, every=Every(4, dense=0))
        fit(model, optimizer, [callback], jit_compile=jit)
    model.fit(X, Y, epochs=1, verbose=0, callbacks=[callback])
    assert "apply" not in vars(optimizer)
    # Two fits of 22 steps, one of 6.
    assert gradscope.read(tmp_path).steps.tolist() == list(range(0, 50, 4))


def test_evaluating_with_the_callback_observes_nothing(tmp_path):
    model, optimizer = dense_model(), adam()
    model.compile(optimizer, "mse")
    callback = gradscope.Callback(tmp_path)
    model.evaluate(X, X[:, :3], verbose=0, callbacks=[callback])
    model.predict(X, verbose=0, callbacks=[callback])
    assert "apply" not in vars(optimizer)


def test_validation_during_a_fit_is_not_recorded(tmp_path):
    model, optimizer = dense_model(), adam()
    callbacks = [gradscope.Callback(tmp_path, every=1)]
    model.compile(optimizer, "mse")
    labels = X[:, :3]
    model.fit(
        X,
        labels,
        epochs=2,
        verbose=0,
        validation_data=(X, labels),
        callbacks=callbacks,
    )
    assert gradscope.read(tmp_path).steps.tolist() == list(range(12))


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


def test_many_short_fits_trace_each_program_once(tmp_path):
    model, optimizer = dense_model(), adam()
    programs = []

    class Measurables(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            programs.append(model.train_function)

    callback = gradscope.Callback(tmp_path, every=Every(4, dense=0))
    fit(model, optimizer, [callback, Measurables()])
    for _ in range(3):
        model.fit(X, Y, verbose=0, callbacks=[callback, Measurables()])
    assert len(set(programs)) == 2
    assert gradscope.read(tmp_path).steps.tolist() == list(range(0, 40, 4))
    assert len(os.listdir(tmp_path / "gradscope")) == 1


@pytest.mark.slow
def test_fits_with_new_callbacks_leave_no_ring_behind(tmp_path):
    gc.collect()
    gradscope.flush()
    before = set(background._watched)
    model, optimizer = dense_model(), adam()
    for _ in range(3):
        fit(model, optimizer, [gradscope.Callback(tmp_path)])
    gc.collect()
    gradscope.flush()
    assert not set(background._watched) - before
    assert len(gradscope.read(tmp_path).steps) == 50 + 2


class Interrupt(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 5:
            raise KeyboardInterrupt


@pytest.mark.parametrize("how", ["wrap", "callback"])
def test_an_interrupted_training_loses_nothing_and_goes_on(how, tmp_path):
    model, optimizer = dense_model(), adam()
    callbacks = [Interrupt()]
    if how == "wrap":
        gradscope.wrap(optimizer, tmp_path, every=1)
    else:
        callbacks.append(gradscope.Callback(tmp_path, every=1))
    with pytest.raises(KeyboardInterrupt):
        fit(model, optimizer, callbacks)
    assert gradscope.read(tmp_path).steps.tolist() == list(range(6))
    again = [gradscope.Callback(tmp_path, every=1)] if how != "wrap" else []
    model.fit(X, Y, verbose=0, callbacks=again)
    assert gradscope.read(tmp_path).steps.tolist() == list(range(12))


@pytest.mark.parametrize(
    "end",
    thinned(
        ["pass", "raise ValueError", "sys.exit(3)"],
        fast=["sys.exit(3)"],
    ),
)
def test_what_is_left_is_written_at_interpreter_exit(end, tmp_path):
    script = f"""
        import sys, keras, tensorflow as tf, gradscope
        variable = tf.Variable([1.0, 2.0])
        optimizer = keras.optimizers.SGD(0.1)
        optimizer.build([variable])
        gradscope.wrap(optimizer, {str(tmp_path)!r}, every=1)

        @tf.function(jit_compile=True)
        def step():
            optimizer.apply([2 * variable], [variable])

        for _ in range(7):
            step()
        {end}
    """
    run_script(script, check=False)
    assert gradscope.read(tmp_path).steps.tolist() == list(range(7))


@pytest.mark.slow
def test_a_forked_worker_never_writes(tmp_path):
    script = f"""
        import os, keras, gradscope, numpy as np
        variable = keras.Variable(np.ones(3, "float32"))
        optimizer = gradscope.wrap(keras.optimizers.SGD(), {str(tmp_path)!r})
        optimizer.apply([np.ones(3, "float32")], [variable])
        child = os.fork()
        if child == 0:
            gradscope.flush()
            raise SystemExit
        os.waitpid(child, 0)
        print(child, *os.listdir({str(tmp_path / "gradscope")!r}))
    """
    child, *files = run_script(script).split()
    assert not any(f".{child}." in name for name in files)
    assert gradscope.read(tmp_path).steps.tolist() == [0]


def test_the_record_of_an_optimizer_that_died_is_written(tmp_path):
    optimizer = gradscope.wrap(adam(), tmp_path)
    step_eagerly(optimizer, keras.Variable([1.0]), steps=3)
    del optimizer
    gc.collect()
    gradscope.flush()
    assert gradscope.read(tmp_path).steps.tolist() == [0, 1, 2]


def endless_loop(optimizer, variable):
    @tf.function
    def run(steps):
        for _ in tf.range(steps):
            optimizer.apply([2 * variable], [variable])

    return run


def test_a_loop_that_stays_in_the_graph_is_recorded(tmp_path):
    variable = tf.Variable([1.0, 2.0])
    optimizer = adam()
    optimizer.build([variable])
    gradscope.wrap(optimizer, tmp_path, every=1)
    endless_loop(optimizer, variable)(tf.constant(300))
    assert gradscope.read(tmp_path).steps.tolist() == list(range(300))


def test_what_overflows_the_ring_is_counted_as_dropped(tmp_path, monkeypatch):
    monkeypatch.setattr(device_ring, "MAX_ROWS", 8)
    monkeypatch.setattr(Drain, "tick", lambda drain: None)
    variable = tf.Variable([1.0, 2.0])
    optimizer = adam()
    optimizer.build([variable])
    gradscope.wrap(optimizer, tmp_path, every=1, histograms=None)
    endless_loop(optimizer, variable)(tf.constant(100))
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == list(range(92, 100))
    assert record["dropped"].tolist() == [92] * 8


def test_fit_drains_a_small_ring_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr(device_ring, "MAX_ROWS", 4)
    monkeypatch.setattr(Drain, "tick", lambda drain: None)
    train("fit_graph", "adam", how="callback", logdir=tmp_path, every=1)
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == list(range(22))
    assert not record["dropped"].any()


def test_steps_are_written_while_training_runs_without_any_call(tmp_path):
    optimizer = gradscope.wrap(adam(), tmp_path)
    step_eagerly(optimizer, keras.Variable([1.0]), steps=3)
    deadline = time.monotonic() + 30
    while not os.listdir(tmp_path / "gradscope"):
        assert time.monotonic() < deadline
        time.sleep(0.1)


# Schedules, in the graph and on the host


FITS = pytest.mark.parametrize(
    "mode, how",
    thinned(
        [
            (mode, how)
            for mode in ("fit_graph", "fit_7_steps", "fit_eager")
            for how in ("wrap", "callback")
        ],
        fast=[
            ("fit_graph", "callback"),
            ("fit_7_steps", "wrap"),
            ("fit_eager", "callback"),
        ],
    ),
)


@FITS
def test_explicit_steps_are_recorded_and_no_others(mode, how, tmp_path):
    schedule = At([2, 13]) | Every(10, dense=1)
    train(mode, "sgd", how=how, logdir=tmp_path, every=schedule)
    assert gradscope.read(tmp_path).steps.tolist() == [0, 2, 10, 13, 20]


@FITS
def test_by_the_clock_the_first_step_is_recorded(mode, how, tmp_path):
    train(mode, "sgd", how=how, logdir=tmp_path, every=Seconds(3600))
    assert gradscope.read(tmp_path).steps.tolist() == [0]


def test_by_the_clock_a_step_is_recorded_when_the_time_is_over(
    tmp_path, monkeypatch
):
    optimizer = gradscope.wrap(adam(), tmp_path, every=Seconds(60))
    variable = keras.Variable([1.0])
    now = time.monotonic()
    for seconds in (0, 59, 61, 100, 122):
        monkeypatch.setattr(time, "monotonic", lambda s=seconds: now + s)
        step_eagerly(optimizer, variable)
    assert gradscope.read(tmp_path).steps.tolist() == [0, 2, 4]


def test_the_callback_leaves_steps_that_are_not_due_alone(tmp_path):
    """The program of such a step has no op of gradscope."""
    model, optimizer = dense_model(), adam()
    programs = []

    class Measurables(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            programs.append(model.train_function)

    schedule = Every(5, dense=1)
    callbacks = [gradscope.Callback(tmp_path, every=schedule), Measurables()]
    fit(model, optimizer, callbacks)
    observed = {programs[step] for step in range(0, 22, 5)}
    plain = {programs[step] for step in range(22) if step % 5}
    assert len(observed) == len(plain) == 1 and observed != plain
    assert model.train_function in plain


# Tabs, names and mixed precision


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


def run_script(script, check=True):
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert not check or result.returncode == 0, result.stderr[-3000:]
    return result.stdout
