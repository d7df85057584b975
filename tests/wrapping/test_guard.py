"""Where observing itself fails, while a step is traced and while it runs: it
trains as it would, less is recorded, and one warning says why."""

import contextlib
import functools
import re
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
import training
from image_sizes import BATCHES, LOOPS, data, images
from thinning import thinned
from training import state

import gradscope
from gradscope.errors import GradscopeWarning
from gradscope.measuring import data as measuring_data
from gradscope.measuring import sampling, statistics
from gradscope.wrapping.fit import step_trial
from gradscope.wrapping.forward import guard

LESS = (
    r"gradscope cannot observe the activations of this model: {reason}.*"
    r"Its gradients are still recorded\. Please report this\."
)
NOTHING = (
    r"gradscope cannot observe {optimizer}: {reason}.*"
    r"Training goes on without gradscope\. Please report this\."
)

LATER = (
    r"An operation of gradscope failed in a recorded step: "
    r"InvalidArgumentError: .*of our own.*It is unknown how much of the step "
    r"was done, so the step cannot be repeated\. Continue from your last "
    r"checkpoint, without the callback or with `activations=False`\. "
    r"Please report this\."
)


def told(caught, *patterns):
    """Asserts that gradscope's warnings are these, in this order."""
    texts = [
        str(one.message)
        for one in caught
        if issubclass(one.category, GradscopeWarning)
    ]
    assert len(texts) == len(patterns), texts
    for text, pattern in zip(texts, patterns, strict=True):
        assert re.match(pattern, text, re.DOTALL), text


def raising(*arguments, **keywords):
    raise ZeroDivisionError("of our own")


def failing(measure):
    """Returns a function that measures, with an operation that fails when the
    step runs, whatever is known while it is traced."""

    def with_failure(*arguments, **keywords):
        measured = measure(*arguments, **keywords)
        return measured + _failing_operation(measured)

    return with_failure


def _failing_operation(tensor):
    zero = tf.reduce_sum(tensor) * 0
    infinite = 1 / tf.where(tf.math.is_finite(zero), zero, 0)
    return tf.raw_ops.CheckNumerics(tensor=infinite, message="of our own")


def not_for_xla(measure):
    """Returns a function that measures, with an operation that XLA has not."""

    def with_failure(*arguments, **keywords):
        measured = measure(*arguments, **keywords)
        text = tf.strings.as_string(measured)
        return measured + 0.0 * tf.strings.to_number(text)

    return with_failure


#: What fails, and what of the record is left.
FORWARD = (measuring_data, "measure")
VARIABLES = (statistics, "measure")


def fit(library, logdir, how="callback", model=None, caught=None, **options):
    """Trains with `fit`; returns all that it changes, and warnings."""
    caught = [] if caught is None else caught
    library.utils.set_random_seed(7)
    layers = library.layers
    model = model or library.Sequential(
        [
            library.Input((12,)),
            layers.Dense(8, activation="relu", name="first"),
            layers.BatchNormalization(name="norm"),
            layers.Dense(3, name="logits"),
        ]
    )
    optimizer = library.optimizers.Adam(0.01)
    callbacks = []
    if logdir and how == "callback":
        callbacks = [gradscope.Callback(logdir, every=1, probe=False)]
    elif logdir:
        gradscope.wrap(optimizer, logdir, every=1, model=model)
    loss = library.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"], **options)
    with contextlib.ExitStack() as stack:
        heard = stack.enter_context(warnings.catch_warnings(record=True))
        stack.callback(lambda: caught.extend(heard))
        warnings.simplefilter("always")
        history = model.fit(
            training.X[:80],
            training.Y[:80],
            batch_size=16,
            epochs=2,
            verbose=0,
            callbacks=callbacks,
        )
        if logdir and how == "wrap":
            gradscope.unwrap(optimizer)
    numbers = [v.numpy() for v in [*model.variables, *optimizer.variables]]
    return [*numbers, *history.history["loss"]], caught


def same(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def trains_as_it_would(train, logdir):
    """Returns the warnings of a training with gradscope, which is the one
    without."""
    observed, caught = train(logdir)
    same(train(None)[0], observed)
    return caught


FITS = {
    "graph": {"jit_compile": False},
    "2_steps": {"jit_compile": False, "steps_per_execution": 2},
    "eager": {"run_eagerly": True},
}
CASES = [
    ("graph", "wrap", keras),
    ("graph", "callback", tf_keras),
    ("2_steps", "callback", keras),
    ("2_steps", "wrap", tf_keras),
    ("eager", "callback", keras),
    ("eager", "wrap", tf_keras),
]
WAYS = pytest.mark.parametrize(
    "name, how, library", thinned(CASES, fast=CASES[1::2])
)


@WAYS
def test_variables_alone_where_the_forward_pass_cannot_be_measured(
    name, how, library, tmp_path, monkeypatch
):
    monkeypatch.setattr(*FORWARD, raising)
    train = functools.partial(fit, library, how=how, **FITS[name])
    caught = trains_as_it_would(train, tmp_path)
    told(caught, LESS.format(reason="ZeroDivisionError: of our own"))
    record = gradscope.read(tmp_path)
    assert len(record.steps) == 10
    assert np.isfinite(record["gradient_norm"]).all()
    assert np.isnan(record["zero_fraction"]).all()


@WAYS
def test_nothing_where_variables_cannot_be_measured(
    name, how, library, tmp_path, monkeypatch
):
    monkeypatch.setattr(*VARIABLES, raising)
    train = functools.partial(fit, library, how=how, **FITS[name])
    caught = trains_as_it_would(train, tmp_path)
    reason = "ZeroDivisionError: of our own"
    told(caught, NOTHING.format(optimizer="Adam", reason=reason))


@pytest.mark.parametrize(
    "what, mode",
    thinned(
        [
            (what, mode)
            for what in (FORWARD, VARIABLES)
            for mode in ("loop_eager", "loop_function")
        ],
        fast=[(FORWARD, "loop_function"), (VARIABLES, "loop_eager")],
    ),
)
def test_loops_go_on_with_less(what, mode, tmp_path, monkeypatch):
    monkeypatch.setattr(*what, raising)

    def train(logdir):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model, optimizer = training.dense_model(), keras.optimizers.Adam()
            if logdir:
                gradscope.wrap(optimizer, logdir, model=model)
            training.loop(model, optimizer, wrapper=LOOPS[mode])
            if logdir:
                gradscope.unwrap(optimizer)
        return state(model, optimizer), caught

    def seeded(logdir):
        keras.utils.set_random_seed(7)
        return train(logdir)

    caught = trains_as_it_would(seeded, tmp_path)
    reason = "ZeroDivisionError: of our own"
    less = LESS.format(reason=reason)
    nothing = NOTHING.format(optimizer="Adam", reason=reason)
    told(caught, less if what is FORWARD else nothing)


@pytest.mark.parametrize("what", [FORWARD, VARIABLES])
def test_a_session_goes_on_with_less(what, tmp_path, monkeypatch):
    import sessions

    def measured(kind, read, fused=False, rows=None):
        raise ZeroDivisionError("of our own")

    if what is FORWARD:
        from gradscope.measuring import activations

        monkeypatch.setattr(activations, "measure_with_activity", measured)
    else:
        monkeypatch.setattr(*what, raising)
    plain, _ = sessions.train("adam")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        observed, network = sessions.train("adam", logdir=tmp_path, every=1)
        gradscope.flush()
    sessions.assert_same(plain, observed)
    reason = "ZeroDivisionError: of our own"
    less = LESS.format(reason=reason)
    nothing = NOTHING.format(optimizer="AdamOptimizer", reason=reason)
    told(caught, less if what is FORWARD else nothing)
    if what is FORWARD:
        record = gradscope.read(tmp_path)
        assert np.isfinite(record["gradient_norm"]).all()
        assert np.isnan(record["zero_fraction"]).all()
    del network


# Unknown sizes that are taken for equal: what ended trainings once.


@pytest.fixture
def taken_for_equal(monkeypatch):
    monkeypatch.setattr(sampling, "have_same_shape", lambda tensors: True)


@pytest.mark.parametrize(
    "how, library", [("wrap", keras), ("callback", tf_keras)]
)
def test_what_does_not_fit_shows_before_any_step(
    how, library, taken_for_equal, tmp_path
):
    def train(logdir):
        library.utils.set_random_seed(5)
        model, optimizer = images(library), library.optimizers.Adam()
        callbacks = []
        if logdir and how == "callback":
            callbacks = [gradscope.Callback(logdir, every=1, findings=False)]
        elif logdir:
            gradscope.wrap(optimizer, logdir, every=1, model=model)
        model.compile(optimizer, "mse", jit_compile=False)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(data(), verbose=0, callbacks=callbacks)
            if logdir and how == "wrap":
                gradscope.unwrap(optimizer)
        return [v.numpy() for v in model.variables], caught

    caught = trains_as_it_would(train, tmp_path)
    told(caught, LESS.format(reason="InvalidArgumentError: .*hapes"))
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == [0, 1, 2]
    assert record.activations == ()
    assert "InvalidArgumentError" in record.schema.unseen[0]


def test_what_does_not_fit_shows_before_any_step_of_a_session(
    taken_for_equal, tmp_path
):
    v1 = tf.compat.v1

    def run(logdir=None):
        with tf.Graph().as_default():
            x, y = (v1.placeholder(tf.float32, [None, None, 3]) for _ in "xy")
            kernel = v1.get_variable("kernel", initializer=tf.eye(3))
            loss = 0.0
            for name, tensor in (("x", x), ("y", y)):
                with v1.name_scope(name):
                    hidden = tf.einsum("abc,cd->abd", tensor, kernel)
                    loss += tf.reduce_mean(tf.nn.relu(hidden))
            optimizer = v1.train.GradientDescentOptimizer(0.1)
            if logdir is not None:
                gradscope.wrap(optimizer, logdir, every=1)
            train_op = optimizer.minimize(loss)
            with v1.Session() as session:
                session.run(v1.global_variables_initializer())
                feed = {x: np.ones([2, 4, 3]), y: np.ones([1, 3, 3])}
                session.run(train_op, feed)
                kernel = session.run(kernel)
            if logdir is not None:
                gradscope.unwrap(optimizer)
        return kernel

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        np.testing.assert_array_equal(run(), run(tmp_path))
    told(caught, LESS.format(reason="InvalidArgumentError: .*hapes"))
    assert gradscope.read(tmp_path).steps.tolist() == [0]


# Operations that fail when a step runs.


@pytest.mark.parametrize("library", [keras, tf_keras])
def test_a_first_step_that_fails_is_made_again_by_the_plain_program(
    library, tmp_path, monkeypatch
):
    monkeypatch.setattr(*FORWARD, failing(measuring_data.measure))
    train = functools.partial(fit, library, jit_compile=False)
    caught = trains_as_it_would(train, tmp_path)
    told(caught, LESS.format(reason="InvalidArgumentError: .*of our own"))
    record = gradscope.read(tmp_path)
    # The step that was made again was not recorded.
    assert record.steps.tolist() == list(range(1, 10))
    assert np.isfinite(record["gradient_norm"]).all()


@pytest.mark.slow  # TensorFlow tries for ten seconds
def test_a_first_step_without_enough_memory_is_made_again(
    tmp_path, monkeypatch
):
    measure = measuring_data.measure

    def greedy(tensors):
        measured = measure(tensors)
        count = tf.cast(0 * tf.reduce_max(measured) + 2.0**50, tf.int64)
        numbers = tf.cast(tf.range(count), tf.float32)
        return measured + 0 * tf.reduce_sum(numbers)

    monkeypatch.setattr(measuring_data, "measure", greedy)
    train = functools.partial(fit, keras, jit_compile=False)
    caught = trains_as_it_would(train, tmp_path)
    told(
        caught,
        r"gradscope cannot observe the activations of this model: "
        r"ResourceExhaustedError: .*Its gradients are still recorded\. "
        r"A recorded step holds a second copy of all weights and gradients\. "
        r"Choose a smaller batch to make room for them\.",
    )


@pytest.mark.parametrize("library", thinned([keras, tf_keras], fast=[keras]))
def test_where_that_fails_too_nothing_is_recorded(
    library, tmp_path, monkeypatch
):
    monkeypatch.setattr(*VARIABLES, failing(statistics.measure))
    train = functools.partial(fit, library, jit_compile=False)
    caught = trains_as_it_would(train, tmp_path)
    reason = "InvalidArgumentError: .*of our own"
    told(
        caught,
        LESS.format(reason=reason),
        NOTHING.format(optimizer="Adam", reason=reason),
    )


@pytest.mark.parametrize(
    "what, library",
    [
        (FORWARD, keras),
        pytest.param(FORWARD, tf_keras, marks=pytest.mark.slow),
        pytest.param(VARIABLES, keras, marks=pytest.mark.slow),
    ],
)
def test_what_xla_cannot_compile_ends_no_training(
    what, library, tmp_path, monkeypatch
):
    monkeypatch.setattr(*what, not_for_xla(getattr(*what)))
    train = functools.partial(fit, library, jit_compile=True)
    caught = trains_as_it_would(train, tmp_path)
    less = LESS.format(reason="InvalidArgumentError: .*AsString")
    nothing = NOTHING.format(optimizer="Adam", reason="InvalidArgumentError")
    told(caught, *([less] if what is FORWARD else [less, nothing]))


def test_a_program_is_tried_for_each_kind_of_batch(tmp_path, monkeypatch):
    tried = []
    original = step_trial.VariableBackup.__init__

    def counted(self, graph):
        tried.append(graph.name)
        original(self, graph)

    monkeypatch.setattr(step_trial.VariableBackup, "__init__", counted)
    model = images()
    model.compile("sgd", "mse", jit_compile=False)
    callback = gradscope.Callback(tmp_path, every=1, findings=False)
    x, y = BATCHES[0]
    one = tf.data.Dataset.from_tensors((x, y))
    for dataset in (data(), data(), one):
        model.fit(dataset, verbose=0, callbacks=[callback])
        assert len(tried) == (2 if dataset is one else 1)
    # Where the data end, Keras counts a step that it has not made.
    steps = gradscope.read(tmp_path).steps.tolist()
    assert steps == [0, 1, 2, 4, 5, 6, 8]


@pytest.mark.parametrize("library", thinned([keras, tf_keras], fast=[keras]))
def test_an_error_of_the_users_in_a_first_step_is_theirs(library, tmp_path):
    x, y = training.X[:32].copy(), training.Y[:32] + 7

    def train(callbacks):
        library.utils.set_random_seed(1)
        model = library.Sequential([library.layers.Dense(3)])
        model.build((None, 12))
        model.compile(
            "adam", "sparse_categorical_crossentropy", jit_compile=False
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with pytest.raises(tf.errors.InvalidArgumentError) as error:
                model.fit(x, y, verbose=0, callbacks=callbacks)
        gradscope.unwrap(model.optimizer) if callbacks else None
        told(caught)
        return guard.reason(error.value), model.get_weights()

    mine, plain = train([])
    theirs, observed = train([gradscope.Callback(tmp_path)])
    assert "label value" in mine and mine == theirs
    same(plain, observed)


class Counter(keras.layers.Layer):
    """Has a state that no variable holds."""

    def call(self, x):
        noise = tf.numpy_function(np.zeros_like, [x], tf.float32)
        return x + tf.ensure_shape(noise, x.shape)


def test_a_step_whose_state_is_not_known_is_not_made_again(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(*VARIABLES, failing(statistics.measure))
    model = keras.Sequential(
        [keras.Input((12,)), Counter(), keras.layers.Dense(3)]
    )
    caught = []
    with pytest.raises(tf.errors.InvalidArgumentError, match="of our own"):
        fit(keras, tmp_path, model=model, caught=caught, jit_compile=False)
    gradscope.unwrap(model.optimizer)
    told(caught, LATER)


def later(measure):
    """Returns a function that measures, with an operation that fails from the
    tenth step of ours on."""
    count = tf.Variable(0.0, name="gradscope")

    def with_failure(*arguments, **keywords):
        measured = measure(*arguments, **keywords)
        over = tf.cast(count.assign_add(1.0) < 10.0, tf.float32)
        return measured + 0 * tf.raw_ops.CheckNumerics(
            tensor=1 / over, message="of our own"
        )

    return with_failure


@pytest.mark.parametrize("how", ["wrap", "callback"])
def test_a_later_step_that_fails_is_told_of(how, tmp_path, monkeypatch):
    """In `fit`; inside of a user's own function nobody could."""
    monkeypatch.setattr(*VARIABLES, later(statistics.measure))
    model = keras.Sequential([keras.Input((12,)), keras.layers.Dense(3)])
    train = functools.partial(fit, keras, how=how, model=model)
    caught = []
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        train(tmp_path, caught=caught, jit_compile=False)
    assert re.search(r"node gradscope(_\d+)?/", str(error.value))
    gradscope.unwrap(model.optimizer)
    told(caught, *([LATER] if how == "callback" else []))
