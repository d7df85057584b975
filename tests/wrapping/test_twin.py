"""The program that records trains what the user's own, traced before, does."""

import contextlib
import warnings

import keras
import numpy as np
import pytest
from recompiled import (
    FEW,
    TOLD,
    fit,
    network,
    plainly,
    same,
    trained,
    turn,
)
from thinning import thinned

import gradscope
from gradscope.errors import GradscopeWarning
from gradscope.schedule import Every

HOWS = ["new", "one", "in the first", "in the second", "wrap", "unwrap"]


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
