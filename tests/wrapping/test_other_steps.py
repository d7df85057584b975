"""Steps that other code makes of an optimizer in the middle of its `fit`."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from thinning import thinned

import gradscope
from gradscope.errors import GradscopeWarning
from gradscope.schedule import Every

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 3)).astype("float32")
Y = X[:, :1]
EVERY = Every(3, dense=0)

#: Steps of the two epochs of one `fit`.
STEPS = 20

#: A hook of a user's callback, and whether that callback comes before ours.
PLACES = {
    "begin_after": ("on_train_batch_begin", False),
    "begin_before": ("on_train_batch_begin", True),
    "end_after": ("on_train_batch_end", False),
    "end_before": ("on_train_batch_end", True),
    "epoch_after": ("on_epoch_end", False),
    "epoch_before": ("on_epoch_end", True),
}
LIBRARIES = pytest.mark.parametrize(
    "library", thinned([keras, tf_keras], fast=[keras])
)


def network(library, optimizer, name):
    layers = library.layers
    model = library.Sequential(
        [
            library.Input((3,)),
            layers.Dense(2, "tanh", name=f"{name}_hidden"),
            layers.Dense(1, name=f"{name}_output"),
        ]
    )
    model.compile(optimizer, "mse")
    return model


def eagerly(library, model, other):
    """Makes a step with the optimizer's own method."""
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(X[:4]) - Y[:4]) ** 2)
    pairs = zip(tape.gradient(loss, variables), variables, strict=True)
    model.optimizer.apply_gradients(pairs)


def in_a_function(library, model, other):
    """Makes a step in a function that is kept, as users do."""
    if not hasattr(other, "function_of_test"):
        other.function_of_test = tf.function(
            lambda: eagerly(library, model, other)
        )
    other.function_of_test()


def on_batch(library, model, other):
    model.train_on_batch(X[:4], Y[:4])


def on_batch_of_another(library, model, other):
    other.train_on_batch(X[:4], Y[:4])


def fit_inside(library, model, other):
    model.fit(X[:8], Y[:8], 4, verbose=0)


def calling(library, hook, action):
    """Returns a callback that acts in a hook, from the fifth batch on."""

    class Calling(library.callbacks.Callback):
        running = False

    def act(self, number, logs=None):
        if self.running or (hook != "on_epoch_end" and number % 10 < 4):
            return
        self.running = True
        action()
        self.running = False

    setattr(Calling, hook, act)
    return Calling()


def train(library, action, place, logdir=None, *, before=0, wraps=False):
    """Trains a model while an action makes steps; returns its variables.

    Args:
        library: `keras` or `tf_keras`.
        action: Of `ACTIONS`.
        place: Of `PLACES`.
        logdir: Directory of the record, None to observe nothing.
        before: How often the action is called before `fit`.
        wraps: Whether to observe by `gradscope.wrap` in place of a callback.
    """
    library.backend.clear_session()
    library.utils.set_random_seed(3)
    optimizer = library.optimizers.Adam(0.01)
    model, other = (network(library, optimizer, n) for n in ("one", "two"))
    parts = [model] if action is not on_batch_of_another else [model, other]
    optimizer.build([v for part in parts for v in part.trainable_variables])
    if wraps:
        options = {"every": EVERY, "histograms": None}
        gradscope.wrap(optimizer, logdir, **options)
    for _ in range(before):
        action(library, model, other)
    hook, is_first = PLACES[place]
    callbacks = [calling(library, hook, lambda: action(library, model, other))]
    if logdir is not None and not wraps:
        options = {"every": EVERY, "findings": False, "histograms": None}
        ours = gradscope.Callback(logdir, **options)
        callbacks.insert(len(callbacks) if is_first else 0, ours)
    model.fit(X, Y, 4, 2, 0, callbacks=callbacks, shuffle=False)
    if wraps:
        gradscope.unwrap(optimizer)
    variables = [*model.variables, *other.variables, *optimizer.variables]
    return int(optimizer.iterations), [np.asarray(v) for v in variables]


def check_bits(plain, observed):
    for one, same in zip(plain[1], observed[1], strict=True):
        np.testing.assert_array_equal(one, same)


@LIBRARIES
@pytest.mark.parametrize(
    "place",
    thinned(PLACES, fast=["begin_after", "end_before", "epoch_after"]),
)
@pytest.mark.parametrize(
    "action", [eagerly, in_a_function, on_batch, fit_inside]
)
def test_all_due_steps_are_recorded(action, place, library, tmp_path):
    plain = train(library, action, place)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=GradscopeWarning)
        observed = train(library, action, place, tmp_path)
    check_bits(plain, observed)
    assert observed[0] > STEPS
    expected = [step for step in range(observed[0]) if EVERY.due(step)]
    assert gradscope.read(tmp_path).steps.tolist() == expected


def makers(before=0):
    """Returns, for each step, 0 if `fit` makes it and 1 if other code does:
    from the fifth batch of each epoch on, they take turns."""
    epoch = [0] * 4 + [0, 1] * 6
    return [1] * before + 2 * epoch


@LIBRARIES
def test_another_model_with_the_same_optimizer_is_recorded(library, tmp_path):
    """Each part as often as the schedule says; in tf_keras, the first program
    was traced when the optimizer had no other part."""
    arguments = library, on_batch_of_another, "end_after"
    plain = train(*arguments)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=GradscopeWarning)
        observed = train(*arguments, tmp_path)
    check_bits(plain, observed)
    last, expected = [-1, -1], []
    for step, maker in enumerate(makers()):
        knows_parts = library is keras or maker == 1
        if EVERY.due_since(last[maker] if knows_parts else step - 1, step):
            expected.append(step)
            last[maker] = step
    assert gradscope.read(tmp_path).steps.tolist() == expected


@LIBRARIES
def test_steps_of_a_program_that_was_traced_before_are_named(library, tmp_path):
    arguments = library, in_a_function, "end_after"
    plain = train(*arguments, before=1)
    with pytest.warns(GradscopeWarning) as caught:
        observed = train(*arguments, tmp_path, before=1)
    check_bits(plain, observed)
    text = str(*[one.message for one in caught])  # just one
    # `fit` begins at step 1, and makes steps 1 to 5, 7, 9 and so on. The
    # callback takes step 7 for the sixth.
    assert "has not recorded steps 6, 9, 12, 15, which were due" in text
    assert "step number went from 1 to 17 in 10 batches of `fit`" in text
    second_epoch = [
        step
        for step, maker in enumerate(makers(before=1))
        if step > 16 and maker == 0 and EVERY.due(step)
    ]
    assert gradscope.read(tmp_path).steps.tolist() == [3, *second_epoch]


def test_wrap_records_both_as_the_warning_says(tmp_path):
    arguments = keras, in_a_function, "end_after"
    plain = train(*arguments, before=1)
    observed = train(*arguments, tmp_path, before=1, wraps=True)
    check_bits(plain, observed)
    expected = [step for step in range(observed[0]) if EVERY.due(step)]
    assert gradscope.read(tmp_path).steps.tolist() == expected


def test_the_next_fit_goes_on_with_one_program(tmp_path):
    """Also with a callback of its own, which takes over from the last one."""
    model = network(keras, keras.optimizers.SGD(0.01), "one")
    options = {"every": EVERY, "findings": False, "histograms": None}
    fits = ([], [calling(keras, "on_train_batch_end", model_step(model))])
    for others in fits:
        ours = gradscope.Callback(tmp_path, **options)
        model.fit(X, Y, 4, 1, 0, callbacks=[ours, *others])
    steps = range(int(model.optimizer.iterations))
    assert len(steps) == 26
    expected = [step for step in steps if EVERY.due(step)]
    assert gradscope.read(tmp_path).steps.tolist() == expected
    assert "fit" not in vars(model) and "train_on_batch" not in vars(model)


def model_step(model):
    return lambda: model.train_on_batch(X[:4], Y[:4])
