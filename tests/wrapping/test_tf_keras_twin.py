"""As `test_twin.py`, with tf_keras."""

import warnings

import numpy as np
import pytest
import tf_keras

import gradscope
from gradscope.errors import GradscopeWarning

rng = np.random.default_rng(0)
X = rng.normal(size=(32, 4)).astype("float32")
Y = rng.normal(size=(32, 2)).astype("float32")

FEW = {"findings": False, "activations": False, "histograms": None}


def network(frozen, rate=0.0):
    tf_keras.utils.set_random_seed(3)
    layers = tf_keras.layers
    base = tf_keras.Sequential(
        [layers.Dense(3), layers.BatchNormalization()], name="base"
    )
    model = tf_keras.Sequential([base, layers.Dropout(rate), layers.Dense(2)])
    model.build((None, 4))
    base.trainable = not frozen
    model.compile("adam", "mse")
    return model


def fit(model, callbacks, size=8, epochs=1):
    model.fit(
        X[: 2 * size],
        Y[: 2 * size],
        batch_size=size,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=callbacks,
    )


def trained(change, callback=None, sizes=(8, 8), rate=0.0, frozen=False):
    model = network(frozen, rate)
    for number, size in enumerate(sizes):
        if number:
            change(model.get_layer("base"))
        fit(model, [callback()] if callback else [], size)
    return model.get_weights()


def turn(base):
    base.trainable = not base.trainable


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("frozen", [False, True], ids=["freeze", "unfreeze"])
def test_what_was_compiled_is_trained_after_trainable_was_changed(
    frozen, tmp_path
):
    """Here `fit` itself takes care of it, whatever the size of the batches:
    `RespectCompiledTrainableState`."""
    plain = trained(turn, frozen=frozen)
    with warnings.catch_warnings():
        warnings.simplefilter("error", GradscopeWarning)
        observed = trained(
            turn, lambda: gradscope.Callback(tmp_path, **FEW), frozen=frozen
        )
    assert same(plain, observed)


class Turn(tf_keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        turn(self.model.get_layer("base"))


def test_what_a_callback_sets_later_does_not_count_and_is_told(tmp_path):
    def run(*ours):
        model = network(frozen=False)
        fit(model, [*ours, Turn()], epochs=2)
        return model.get_weights()

    plain = run()
    match = r"`trainable` was changed after `compile`: 'base' .*again"
    with pytest.warns(GradscopeWarning, match=match):
        assert same(plain, run(gradscope.Callback(tmp_path, **FEW)))


def test_dropout_in_both_programs_of_each_size_has_the_same_seed(tmp_path):
    callback = gradscope.Callback(tmp_path, **FEW)
    plain = trained(lambda base: None, sizes=(8, 16, 4), rate=0.3)
    with warnings.catch_warnings():
        warnings.simplefilter("error", GradscopeWarning)
        observed = trained(
            lambda base: None, lambda: callback, (8, 16, 4), rate=0.3
        )
    assert same(plain, observed)
