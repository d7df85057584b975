"""What `Callback` records of a `fit` besides its steps."""

import keras
import numpy as np
import pytest

import gradscope
from gradscope.errors import GradscopeWarning
from gradscope.format.schema import Wiring

X = np.random.default_rng(0).normal(size=(16, 4, 2)).astype("float32")
Y = X[:, 0, :1]


def fit(model, logdir, x=X, y=Y, callbacks=(), **options):
    callback = gradscope.Callback(logdir, findings=False)
    callbacks = [*callbacks, callback]
    model.fit(x, y, verbose=0, callbacks=callbacks, **options)


def recurrent(stateful=True):
    model = keras.Sequential(
        [
            keras.Input(batch_shape=(8, 4, 2)),
            keras.layers.GRU(2, stateful=stateful, name="memory"),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.SGD(0.01), "mse")
    return model


def test_a_state_that_fit_shuffles(tmp_path):
    fit(recurrent(), tmp_path / "shuffled", batch_size=8)
    wiring = gradscope.read(tmp_path / "shuffled").schema.wiring
    assert wiring == (Wiring("shuffled_state", "memory", "GRU"),)
    fit(recurrent(), tmp_path / "in order", batch_size=8, shuffle=False)
    assert gradscope.read(tmp_path / "in order").schema.wiring == ()


def test_a_plateau_that_begins_at_its_end(tmp_path):
    plateau = keras.callbacks.ReduceLROnPlateau("loss", min_lr=0.01)
    model = recurrent(stateful=False)
    fit(model, tmp_path, batch_size=8, callbacks=[plateau])
    wiring, _ = gradscope.read(tmp_path).schema.wiring
    assert (wiring.kind, wiring.detail) == ("idle_plateau", "0.01 0.01")


def test_a_model_without_weights_to_train(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.trainable = False
    model.compile("sgd", "mse")
    with pytest.warns(GradscopeWarning, match="observed no step"):
        fit(model, tmp_path, np.ones((8, 3)), np.ones((8, 1)))
    (found,) = gradscope.diagnose(tmp_path)
    assert (found.kind, found.severity) == ("no-steps", "error")
    record = gradscope.read(tmp_path)
    assert record.variables == () and np.isnan(record["loss"]).all()


def test_indices_of_sixteen_bits(tmp_path):
    half = keras.DTypePolicy("mixed_float16")
    table = keras.layers.Embedding(3000, 2, name="items", dtype=half)
    model = keras.Sequential(
        [
            keras.Input((1,), dtype="float32"),
            keras.layers.Identity(dtype=half),
            table,
            keras.layers.Flatten(),
            keras.layers.Dense(1, dtype="float32"),
        ]
    )
    model.compile("sgd", "mse", jit_compile=False)
    x = np.arange(16, dtype="float32")[:, np.newaxis]
    fit(model, tmp_path, x, x)
    wiring = gradscope.read(tmp_path).schema.wiring
    assert [(w.kind, w.detail) for w in wiring] == [
        ("half_index", "float16 3000")
    ]
    assert "items" in wiring[0].name


def test_what_callbacks_watch(tmp_path):
    watching = [
        keras.callbacks.ReduceLROnPlateau(
            "loss", mode="max", min_delta=0.25, patience=3, cooldown=2
        ),
        keras.callbacks.EarlyStopping("mae", start_from_epoch=1),
        # Of a checkpoint of each epoch nobody asks which is best.
        keras.callbacks.ModelCheckpoint(tmp_path / "each.weights.h5"),
    ]
    watching[-1].save_weights_only = True
    model = recurrent(stateful=False)
    model.compile("sgd", "mse", metrics=["mae"])
    fit(model, tmp_path / "run", batch_size=8, callbacks=watching)
    wiring = gradscope.read(tmp_path / "run").schema.wiring
    assert [(w.name, w.detail) for w in wiring] == [
        ("ReduceLROnPlateau", "max 0.25 3 2 alone loss"),
        ("EarlyStopping", "auto 0 0 0 alone mae"),
    ]
    odd = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: None)
    fit(model, tmp_path / "odd", batch_size=8, callbacks=[odd, watching[0]])
    (wiring,) = gradscope.read(tmp_path / "odd").schema.wiring
    assert wiring.detail == "max 0.25 3 2 others loss"


class Kept(keras.layers.Layer):
    """Hands on what it gets, and the mask where it is told to."""

    def __init__(self, keeps, **options):
        super().__init__(**options)
        self.supports_masking = keeps

    def call(self, x):
        return 2 * x


@pytest.mark.parametrize("keeps", [False, True])
def test_a_mask_that_a_layer_keeps_or_loses(tmp_path, keeps):
    model = keras.Sequential(
        [
            keras.Input((5,), dtype="int32"),
            keras.layers.Embedding(9, 2, mask_zero=True, name="words"),
            Kept(keeps, name="twice"),
            keras.layers.GRU(2, name="memory"),
            keras.layers.Dense(1),
        ]
    )
    model.compile("sgd", "mse", jit_compile=False)
    # A single 0 between other tokens, in half of the texts.
    x = np.array([[1, 0, 2, 0, 0], [1, 2, 0, 0, 3]] * 8, "int32")
    fit(model, tmp_path, x, Y)
    wiring = gradscope.read(tmp_path).schema.wiring
    lost = [] if keeps else [Wiring("lost_mask", "twice", "memory")]
    assert list(wiring) == [*lost, Wiring("masked_word", "words", "0.5")]


@pytest.mark.parametrize("axis", [1, -1])
def test_the_axis_of_a_batch_norm(tmp_path, axis):
    model = keras.Sequential(
        [
            keras.Input((4, 2, 3)),
            keras.layers.BatchNormalization(axis, name="norm"),
            keras.layers.Conv2D(2, 1),
            keras.layers.Flatten(),
            # Here axis 1 is the last one.
            keras.layers.BatchNormalization(axis=1),
            keras.layers.Dense(1),
        ]
    )
    model.compile("sgd", "mse", jit_compile=False)
    fit(model, tmp_path, np.ones((16, 4, 2, 3), "float32"), Y)
    wiring = gradscope.read(tmp_path).schema.wiring
    expected = (Wiring("norm_axis", "norm", "1 4"),) if axis == 1 else ()
    assert wiring == expected
