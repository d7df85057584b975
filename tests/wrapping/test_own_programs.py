"""Programs that gradscope did not make are called, and given back; and where
nothing can be recorded, one warning says so."""

import warnings

import keras
import pytest
import tensorflow as tf
from recompiled import (
    FEW,
    TOLD,
    Observed,
    X,
    Y,
    fit,
    network,
    plainly,
    same,
    trained,
    turn,
)

import gradscope
from gradscope.errors import GradscopeWarning
from gradscope.runtime.program_fingerprint import ProgramFingerprint


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
