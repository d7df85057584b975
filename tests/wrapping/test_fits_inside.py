"""A `fit` inside of another one, or after one that was interrupted."""

import warnings

import keras
import numpy as np
import pytest
import tf_keras
from thinning import thinned

import gradscope
from gradscope.errors import GradscopeWarning
from gradscope.schedule import Every
from gradscope.wrapping import seam_of
from gradscope.wrapping.fit.step_trial import StepTrial

rng = np.random.default_rng(0)
X = rng.normal(size=(12, 3)).astype("float32")
Y = X[:, :1]

#: Steps of one `fit` of one epoch.
STEPS = 3


def network(name, library=keras):
    layers = library.layers
    model = library.Sequential(
        [
            library.Input((3,)),
            layers.Dense(2, "tanh", name=f"{name}_hidden"),
            layers.Dense(1, name=f"{name}_output"),
        ],
        name=name,
    )
    model.compile(library.optimizers.Adam(0.1), "mse")
    return model


def fit(model, callbacks=(), epochs=1):
    model.fit(X, Y, 4, epochs, 0, callbacks=list(callbacks), shuffle=False)


def calling(library, action, batch=None):
    """Returns a callback that acts after a batch, or after each epoch."""

    class Calling(library.callbacks.Callback):
        def on_train_batch_end(self, number, logs=None):
            if number == batch:
                action()

        def on_epoch_end(self, epoch, logs=None):
            if batch is None:
                action()

    return Calling()


def state(models):
    """Returns all variables; gradscope's own must be gone."""
    for model in models:
        assert not isinstance(model.train_function, StepTrial)
        assert seam_of(model.optimizer) is None
    return [
        np.asarray(variable)
        for model in models
        for variable in [*model.variables, *model.optimizer.variables]
    ]


def run(scenario, logdir=None, library=keras, every=1, strict=True):
    """Trains two models; returns their variables.

    Args:
        scenario: Called with both models and a function that makes callbacks.
        logdir: Directory of the callbacks' runs, None to observe nothing.
        library: `keras` or `tf_keras`.
        every: A schedule.
        strict: Whether a warning is an error.
    """
    library.backend.clear_session()
    library.utils.set_random_seed(3)
    models = network("outer", library), network("inner", library)

    def ours(name="run"):
        if logdir is None:
            return []
        options = {"every": every, "findings": False, "histograms": None}
        return [gradscope.Callback(logdir / name, **options)]

    with warnings.catch_warnings():
        if strict:
            warnings.filterwarnings("error", category=GradscopeWarning)
        # A second training goes into a run of its own.
        warnings.filterwarnings("ignore", ".* already has the record of")
        scenario(library, *models, ours)
    return state(models)


def same_as_plain(scenario, logdir, library=keras, every=1):
    plain = run(scenario, None, library)
    for one, other in zip(
        plain, run(scenario, logdir, library, every), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def steps(path):
    return gradscope.read(path).steps.tolist()


LIBRARIES = pytest.mark.parametrize(
    "library", thinned([keras, tf_keras], fast=[keras])
)


@LIBRARIES
def test_another_model_is_fit_inside_with_the_same_callback(library, tmp_path):
    def scenario(library, outer, inner, ours):
        callbacks = ours()
        inside = calling(library, lambda: fit(inner, callbacks))
        for _ in range(2):
            fit(outer, [*callbacks, inside], epochs=2)

    same_as_plain(scenario, tmp_path, library)
    layers = [
        gradscope.read(run).layers
        for run in (tmp_path / "run", tmp_path / "run" / "run_2")
    ]
    assert layers == [
        ("outer_hidden", "outer_output"),
        ("inner_hidden", "inner_output"),
    ]
    for run_directory in (tmp_path / "run", tmp_path / "run" / "run_2"):
        assert steps(run_directory) == list(range(4 * STEPS))


@LIBRARIES
@pytest.mark.parametrize("batch", thinned([1, None], fast=[1]))
@pytest.mark.parametrize("name", ["run", "other"])
def test_the_same_model_is_fit_inside(name, batch, library, tmp_path):
    """By a callback of the same arguments, or of others."""

    def scenario(library, outer, _, ours):
        inside = calling(library, lambda: fit(outer, ours(name)), batch)
        fit(outer, [*ours(), inside], epochs=2)

    same_as_plain(scenario, tmp_path, library)
    expected = set(range(4 * STEPS))
    recorded = steps(tmp_path / "run")
    if name == "run":
        assert set(recorded) == expected
    else:
        assert {*recorded, *steps(tmp_path / "other")} == expected


def test_a_fit_inside_without_gradscope_hides_no_step(tmp_path):
    def scenario(library, outer, _, ours):
        inside = calling(library, lambda: fit(outer))
        fit(outer, [*ours(), inside], epochs=2)

    same_as_plain(scenario, tmp_path, every=Every(2, dense=0))
    recorded = steps(tmp_path / "run")
    assert set(recorded) >= {0, 2, 6, 8}


def interrupted(library, model, callbacks):
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(model, [*callbacks, calling(library, interrupt, batch=1)])


@LIBRARIES
def test_an_interrupted_fit_ends_where_the_callback_goes_on(library, tmp_path):
    def scenario(library, outer, inner, ours):
        callbacks = ours()
        interrupted(library, outer, callbacks)
        fit(inner, callbacks)
        assert seam_of(outer.optimizer) is None
        fit(outer, callbacks)

    same_as_plain(scenario, tmp_path, library)
    assert steps(tmp_path / "run") == list(range(2 + STEPS))


def test_a_fit_inside_that_is_interrupted_ends_there(tmp_path):
    def scenario(library, outer, inner, ours):
        callbacks = ours()
        inside = calling(
            library, lambda: interrupted(library, inner, callbacks)
        )
        fit(outer, [*callbacks, inside], epochs=2)

    same_as_plain(scenario, tmp_path)
    assert steps(tmp_path / "run") == list(range(2 * STEPS))


def test_an_optimizer_is_exchanged_after_an_interrupted_fit(tmp_path):
    def scenario(library, model, _, ours):
        callbacks, first = ours(), model.optimizer
        interrupted(library, model, callbacks)
        model.compile(library.optimizers.SGD(0.1), "mse")
        fit(model, callbacks)
        assert seam_of(first) is None
        model.compile(first, "mse")
        fit(model, callbacks)

    same_as_plain(scenario, tmp_path)
    assert steps(tmp_path / "run")[:2] == [0, 1]


def test_another_model_is_evaluated_with_the_same_callback(tmp_path):
    def scenario(library, outer, inner, ours):
        callbacks = ours()

        def evaluate():
            inner.evaluate(X, Y, 4, 0, callbacks=list(callbacks))
            inner.predict(X, 4, 0, callbacks=list(callbacks))

        inside = calling(library, evaluate, batch=0)
        fit(outer, [*callbacks, inside], epochs=2)
        fit(inner)

    same_as_plain(scenario, tmp_path, every=Every(2, dense=0))
    assert steps(tmp_path / "run") == [0, 2, 4]


def test_what_is_unwrapped_inside_of_its_fit_goes_on_unobserved(tmp_path):
    def scenario(library, model, _, ours):
        def unwrap():
            if seam_of(model.optimizer) is not None:
                gradscope.unwrap(model.optimizer)

        fit(model, [*ours(), calling(library, unwrap, batch=1)], epochs=2)

    same_as_plain(scenario, tmp_path)
    assert steps(tmp_path / "run") == [0, 1]


def compiling(library, model, optimizer):
    """Returns a callback that compiles the model anew after an epoch."""

    def compile():
        if model.optimizer is not optimizer:
            model.compile(optimizer, "mae")
            model.make_train_function()

    return calling(library, compile)


@LIBRARIES
def test_an_optimizer_that_is_compiled_in_the_middle_is_a_run_of_its_own(
    library, tmp_path
):
    def scenario(library, model, _, ours):
        inside = compiling(library, model, library.optimizers.SGD(0.1))
        fit(model, [*ours(), inside], epochs=3)

    same_as_plain(scenario, tmp_path, library)
    assert steps(tmp_path / "run") == list(range(STEPS))
    assert steps(tmp_path / "run" / "run_2") == list(range(2 * STEPS))


def test_one_that_the_user_has_wrapped_goes_to_the_users_directory(tmp_path):
    def scenario(library, model, _, ours):
        other = library.optimizers.SGD(0.1)
        callbacks = ours()
        if callbacks:
            gradscope.wrap(other, tmp_path / "own", every=1)
        inside = compiling(library, model, other)
        fit(model, [*callbacks, inside], epochs=3)
        if callbacks:
            gradscope.unwrap(other)

    same_as_plain(scenario, tmp_path)
    assert steps(tmp_path / "run") == list(range(STEPS))
    assert steps(tmp_path / "own") == list(range(2 * STEPS))


def test_one_that_cannot_be_observed_is_told_of_once(tmp_path, monkeypatch):
    def scenario(library, model, _, ours):
        other = library.optimizers.SGD(0.1)
        fit(model, [*ours(), compiling(library, model, other)], epochs=3)

    monkeypatch.setattr(
        "gradscope.wrapping.optimizers.keras.unsupported",
        lambda one: "it is odd" if "SGD" in type(one).__name__ else None,
    )
    plain = run(scenario)
    match = "cannot observe this optimizer: it is odd"
    with pytest.warns(GradscopeWarning, match=match) as told:
        observed = run(scenario, tmp_path, strict=False)
    assert len(told) == 1
    for one, other in zip(plain, observed, strict=True):
        np.testing.assert_array_equal(one, other)
    assert steps(tmp_path / "run") == list(range(STEPS))
