"""The program that records trains what the user's own, traced before, does."""

import contextlib
import functools
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from thinning import thinned

import gradscope
from gradscope.errors import GradscopeWarning
from gradscope.runtime import trainable_flags
from gradscope.runtime.program_fingerprint import ProgramFingerprint, handle_id
from gradscope.schedule import Every

rng = np.random.default_rng(0)
X = rng.normal(size=(32, 4)).astype("float32")
Y = rng.normal(size=(32, 2)).astype("float32")

TOLD = r"`trainable` was changed after `compile`: 'base' is {}trained\. .*again"


#: What records and traces fast.
FEW = {"findings": False, "activations": False, "histograms": None}


def network(frozen=False, norm=False, **options):
    keras.utils.set_random_seed(3)
    layers = keras.layers
    inner = [keras.Input((4,)), layers.Dense(3), layers.Dropout(0.2)]
    if norm:  # which looks at `trainable`
        inner.append(layers.BatchNormalization())
    base = keras.Sequential(inner, name="base")
    model = keras.Sequential([base, layers.Dense(2)])
    base.trainable = not frozen
    model.compile("adam", "mse", **options)
    return model


def turn(model):
    base = model.get_layer("base")
    base.trainable = not base.trainable


def fit(model, callbacks=(), size=8, x=X, y=Y, **options):
    model.fit(
        x[: 2 * size],
        y[: 2 * size],
        batch_size=size,
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
        **options,
    )


class Observed:
    """Ways to observe three fits; `callbacks` is called before each."""

    def __init__(self, how, logdir):
        self.how, self.logdir, self.fits = how, logdir, 0
        self.callback = how and gradscope.Callback(logdir, **FEW)

    def callbacks(self, model):
        self.fits += 1
        if self.how == "one":
            return [self.callback]
        if self.how == "new" or (self.how, self.fits) in (
            ("in the first", 1),
            ("in the second", 2),
        ):
            directory = self.logdir / str(self.fits)
            return [gradscope.Callback(directory, **FEW)]
        if (self.how, self.fits) in (("wrap", 2), ("unwrap", 1)):
            gradscope.wrap(model.optimizer, self.logdir, model=model)
        if self.how == "unwrap" and self.fits == 2:
            gradscope.unwrap(model.optimizer, model=model)
        return []


HOWS = ["new", "one", "in the first", "in the second", "wrap", "unwrap"]


def trained(change, how=None, logdir=None, sizes=(8, 8, 8), **options):
    """Returns the weights after fits with a change between them."""
    model = network(**options)
    observed = Observed(how, logdir)
    for number, size in enumerate(sizes):
        if number:
            change(model)
        fit(model, observed.callbacks(model), size)
    gradscope.flush()
    return [*model.get_weights(), *map(np.asarray, model.optimizer.variables)]


#: The same without gradscope.
plainly = functools.cache(trained)


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("frozen", [False, True], ids=["freeze", "unfreeze"])
@pytest.mark.parametrize("how", thinned(list(HOWS), fast=["new"]))
def test_what_was_compiled_is_trained_after_trainable_was_changed(
    frozen, how, tmp_path
):
    told = contextlib.nullcontext()
    if how not in ("in the first", "unwrap"):
        told = pytest.warns(
            GradscopeWarning, match=TOLD.format("not " if frozen else "")
        )
    plain = plainly(turn, frozen=frozen)
    with told:
        observed = trained(turn, how, tmp_path, frozen=frozen)
    assert same(plain, observed)


def test_the_fits_that_go_on_with_what_was_compiled_are_recorded(tmp_path):
    with pytest.warns(GradscopeWarning, match=TOLD.format("")):
        trained(turn, "new", tmp_path, (8, 8))
    for fit_number in (1, 2):
        record = gradscope.read(tmp_path / str(fit_number))
        assert np.isfinite(record["gradient_norm"]).all()
        assert len(record.steps) == 2


@pytest.mark.parametrize("how", thinned(["new", "one", "unwrap"], fast=["new"]))
def test_a_batch_of_another_size_is_traced_with_what_is_trainable_now(
    how, tmp_path
):
    plain = plainly(turn, sizes=(8, 16))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(plain, trained(turn, how, tmp_path, sizes=(8, 16)))


@pytest.mark.parametrize("how", [None, "new"])
def test_where_keras_does_not_know_a_variable_it_says_so_as_ever(how, tmp_path):
    with pytest.raises(ValueError, match="Unknown variable"):
        trained(turn, how, tmp_path, sizes=(8, 16), frozen=True)


@pytest.mark.parametrize("how", thinned(["new", "one"], fast=["new"]))
def test_several_steps_in_one_call_train_what_was_compiled(how, tmp_path):
    plain = plainly(turn, steps_per_execution=2)
    with pytest.warns(GradscopeWarning, match=TOLD.format("")):
        observed = trained(turn, how, tmp_path, steps_per_execution=2)
    assert same(plain, observed)


def test_eager_steps_train_what_is_trainable_now(tmp_path):
    plain = plainly(turn, sizes=(8, 8), run_eagerly=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        observed = trained(
            turn, "new", tmp_path, sizes=(8, 8), run_eagerly=True
        )
    assert same(plain, observed)


def turn_norm(model):
    norm = model.get_layer("base").layers[2]
    norm.trainable = not norm.trainable


def turn_kernel(model):
    kernel = model.get_layer("base").layers[0].kernel
    kernel.trainable = not kernel.trainable


def turn_all(model):
    model.trainable = not model.trainable


@pytest.mark.parametrize(
    "change",
    thinned([turn_norm, turn_kernel, turn_all], fast=[turn_kernel]),
)
def test_whatever_is_set_untrainable_goes_on(change, tmp_path):
    with pytest.warns(GradscopeWarning, match="compile` again"):
        observed = trained(change, "new", tmp_path, (8, 8), norm=True)
    assert same(plainly(change, sizes=(8, 8), norm=True), observed)


def raise_rate(model):
    model.get_layer("base").layers[1].rate += 0.3


def add_layer(model):
    model.add(keras.layers.Dense(2))


def add_activation(model):
    model.add(keras.layers.Activation("tanh"))


@pytest.mark.parametrize(
    "change, how",
    thinned(
        [(raise_rate, "new"), (add_layer, "wrap"), (add_activation, "new")],
        fast=[(raise_rate, "new"), (add_layer, "wrap")],
    ),
)
def test_a_model_that_cannot_be_traced_as_before_goes_on_unobserved(
    change, how, tmp_path
):
    plain = plainly(change)
    with pytest.warns(
        GradscopeWarning, match="has changed since Keras traced.*again"
    ):
        assert same(plain, trained(change, how, tmp_path))


def test_what_is_compiled_again_counts_and_is_recorded(tmp_path):
    def change(model):
        turn(model)
        model.compile("adam", "mse")

    plain = trained(change, sizes=(8, 8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(plain, trained(change, "new", tmp_path, (8, 8)))


class Turn(keras.callbacks.Callback):
    """Changes `trainable` in the middle of a fit."""

    def __init__(self, force):
        super().__init__()
        self.force = force

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            turn(self.model)
            if self.force:  # which Keras's documentation asks for
                self.model.make_train_function(force=True)


@pytest.mark.parametrize("force", thinned([False, True], fast=[True]))
@pytest.mark.parametrize("first", thinned([False, True], fast=[True]))
def test_what_another_callback_does_to_trainable_is_as_without_us(
    force, first, tmp_path
):
    def run(*ours):
        model = network()
        theirs = [Turn(force)]
        callbacks = [*theirs, *ours] if first else [*ours, *theirs]
        fit(model, callbacks, epochs=3)
        fit(model, callbacks, epochs=1)
        return model.get_weights()

    callback = gradscope.Callback(tmp_path, every=Every(2, dense=0), **FEW)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GradscopeWarning)
        assert same(run(), run(callback))


def test_the_models_own_program_is_given_back(tmp_path):
    model = network()
    fit(model)
    own = model.train_function
    fit(model, [gradscope.Callback(tmp_path / "1", **FEW)])
    assert model.train_function is own
    gradscope.wrap(model.optimizer, tmp_path / "2", model=model)
    fit(model)
    gradscope.unwrap(model.optimizer, model=model)
    assert model.train_function is own


@pytest.mark.parametrize("how", ["in the second", "wrap"])
def test_a_train_function_of_ones_own_is_called_and_no_other(how, tmp_path):
    def run(how=None):
        model = network()

        @tf.function
        def own(iterator):
            x, y = next(iterator)
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum((model(x, training=True) - y) ** 4)
            kernels = model.trainable_variables
            gradients = tape.gradient(loss, kernels)
            model.optimizer.apply(gradients, kernels)
            return {"loss": loss}

        model.optimizer.build(model.trainable_variables)
        model.train_function = own
        observed = Observed(how, tmp_path)
        for _ in range(2):
            fit(model, observed.callbacks(model))
        assert how == "wrap" or model.train_function is own
        return model.get_weights()

    plain = run()
    match = "must be made by .*, got your own .*Call `gradscope.wrap"
    with pytest.warns(GradscopeWarning, match=match):
        assert same(plain, run(how))


def test_single_batches_train_what_was_compiled(tmp_path):
    def run(observe):
        model = network()
        for size in (8, 8, 4, 4, 6, 8):
            model.train_on_batch(X[:size], Y[:size])
            turn(model)
            if observe and not hasattr(model.train_function, "model_program"):
                gradscope.wrap(model.optimizer, tmp_path, model=model)
        return model.get_weights()

    plain = run(False)
    with pytest.warns(GradscopeWarning, match=TOLD.format("")):
        assert same(plain, run(True))
    gradscope.flush()
    assert gradscope.read(tmp_path).steps.tolist() == [1, 2, 3, 4, 5]


def test_a_discriminator_that_was_frozen_for_its_generator_goes_on(tmp_path):
    def run(observe):
        keras.utils.set_random_seed(1)
        layers = keras.layers
        judge = keras.Sequential(
            [keras.Input((2,)), layers.Dense(3, "relu"), layers.Dense(1)]
        )
        judge.compile("adam", "mse")
        fit(judge, x=Y, y=X[:, :1])
        judge.trainable = False
        maker = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
        both = keras.Sequential([maker, judge])
        both.compile("adam", "mse")
        for number in range(2):
            for model, name, data in (judge, "judge", Y), (both, "both", X):
                callbacks = []
                if observe:
                    directory = tmp_path / f"{name}{number}"
                    callbacks = [gradscope.Callback(directory, **FEW)]
                fit(model, callbacks, x=data, y=X[:, :1])
        return both.get_weights()

    plain = run(False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GradscopeWarning)
        assert same(plain, run(True))
    gradscope.flush()
    shapes = [
        [v.shape for v in gradscope.read(tmp_path / name).schema.variables]
        for name in ("judge1", "both1")
    ]
    assert shapes[0] == [(2, 3), (3,), (3, 1), (1,)]
    assert shapes[1] == [(4, 2), (2,)]


def test_a_failure_of_ours_is_one_warning_and_training_goes_on(
    tmp_path, monkeypatch
):
    def broken(*_):
        raise RuntimeError("no such luck")

    plain = plainly(turn)
    monkeypatch.setattr(ProgramFingerprint, "of", broken)
    with pytest.warns(GradscopeWarning, match="cannot observe Adam.*no such"):
        assert same(plain, trained(turn, "in the second", tmp_path))


def test_a_model_that_trains_nothing_is_told_of(tmp_path):
    model = network()
    model.trainable = False
    model.compile("sgd", "mse")
    match = "`model.optimizer` .SGD. trained nothing, .* `trainable` is False"
    with pytest.warns(GradscopeWarning, match=match):
        fit(model, [gradscope.Callback(tmp_path, **FEW)])


# Parts of it


def fingerprint(function, *arguments):
    traced = tf.function(function).get_concrete_function(*arguments)
    return ProgramFingerprint.of(traced, model=None)


def test_two_traces_of_one_function_have_one_fingerprint():
    variable = tf.Variable([1.0, 2.0])

    def step(x):
        inner = tf.function(lambda y: variable.assign_add(y * 2.0))
        return tf.while_loop(
            lambda i: i < 3, lambda i: (inner(x), i + 1)[1:], [0]
        )

    x = tf.constant([1.0, 1.0])
    assert fingerprint(step, x) == fingerprint(step, x)


def test_a_constant_a_variable_and_what_is_written_tell_programs_apart():
    one, other = tf.Variable(1.0), tf.Variable(1.0)
    prints = [
        fingerprint(lambda: one * 2.0),
        fingerprint(lambda: one * 3.0),
        fingerprint(lambda: other * 2.0),
        fingerprint(lambda: one.assign(one * 2.0)),
    ]
    for index, print_ in enumerate(prints):
        assert print_ not in prints[:index]
    assert prints[0].written == frozenset()
    assert prints[3].written == {handle_id(one)}


def test_what_was_trainable_is_inferred_from_what_is_written_and_put_back():
    model = network()
    before = trainable_flags.flags(model)
    dense = model.get_layer("base").layers[0]
    with trainable_flags.as_traced(model, frozenset([handle_id(dense.kernel)])):
        assert [v.path for v in model.trainable_variables] == [
            dense.kernel.path
        ]
        assert "'sequential" not in trainable_flags.describe_change(
            model, before
        )
    assert trainable_flags.flags(model) == before
    assert trainable_flags.describe_change(model, before) is None


def test_a_difference_names_the_outermost_layers():
    model = network()
    before = trainable_flags.flags(model)
    turn(model)
    assert (
        "compile`: 'base' is trained. Keras"
        in trainable_flags.describe_change(model, before)
    )
