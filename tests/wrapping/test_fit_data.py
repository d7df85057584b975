"""A batch of what `fit` was given, probed when it has ended."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
import training

import gradscope
from gradscope.wrapping.fit import fit_arguments

random = np.random.default_rng(0)
X = random.normal(size=(300, 12)).astype("float32")
Y = random.integers(0, 3, 300)


def network(*layers, library=keras):
    last = library.layers.Dense(3, name="logits")
    model = library.Sequential([library.Input((12,)), *layers, last])
    loss = library.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(library.optimizers.SGD(0.05), loss)
    return model


def norm(library=keras):
    return library.layers.BatchNormalization(name="norm")


def probed(model, logdir, *data, epochs=12, **options):
    """Returns steps and losses of a fit of ten steps an epoch."""
    probe = options.pop("probe", None)
    callback = gradscope.Callback(logdir, findings=False, probe=probe)
    model.fit(
        *(data or (X, Y)),
        epochs=epochs,
        verbose=0,
        callbacks=[callback],
        **options,
    )
    return gradscope.read(logdir).occasional("probe")


@pytest.mark.parametrize("library", [keras, tf_keras])
def test_a_batch_is_probed_when_training_ends(library, tmp_path):
    model = network(norm(library), library=library)
    steps, losses = probed(model, tmp_path, batch_size=32)
    assert steps.tolist() == [120]
    rows = np.arange(32) * 300 // 32
    expected = gradscope.probe(model, X[rows], Y[rows])
    np.testing.assert_allclose(
        losses[0, 0],
        [expected.training_loss, expected.inference_loss],
        rtol=1e-6,
    )


def test_without_shuffling_it_is_the_first_batch(tmp_path):
    model = network(norm())
    _, losses = probed(model, tmp_path, batch_size=32, shuffle=False)
    expected = gradscope.probe(model, X[:32], Y[:32])
    np.testing.assert_allclose(losses[0, 0, 1], expected.inference_loss, 1e-6)


class Own(keras.layers.Layer):
    def call(self, x, training=False):
        return x if training else 2 * x


class Plain(keras.layers.Layer):
    def call(self, x):
        return 2 * x


@pytest.mark.parametrize(
    ("layer", "is_probed"),
    [
        (Own(), True),
        (keras.layers.Dropout(0), False),
        (Plain(), False),
    ],
)
def test_what_is_the_same_in_both_modes_is_not_probed(
    layer, is_probed, tmp_path
):
    steps, _ = probed(network(layer), tmp_path)
    assert len(steps) == is_probed


def test_data_that_would_move_are_left_alone(tmp_path):
    data = tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(300).batch(30)
    steps, _ = probed(network(norm()), tmp_path, data)
    assert len(steps) == 0


def test_an_eager_model_is_left_alone(tmp_path):
    model = network(norm())
    model.compile("sgd", model.loss, run_eagerly=True)
    steps, _ = probed(model, tmp_path)
    assert len(steps) == 0


def test_a_short_run_and_one_that_declined_are_not_probed(tmp_path):
    steps, _ = probed(network(norm()), tmp_path / "short", epochs=9)
    assert len(steps) == 0
    steps, _ = probed(network(norm()), tmp_path / "not", probe=False)
    assert len(steps) == 0


@pytest.mark.slow
def test_a_loop_of_short_fits_is_probed_less_and_less_often(tmp_path):
    model = network(norm())
    callback = gradscope.Callback(tmp_path, findings=False)
    for _ in range(50):
        model.fit(X, Y, verbose=0, callbacks=[callback])  # ten steps
    steps, _ = gradscope.read(tmp_path).occasional("probe")
    assert steps.tolist() == [100, 200, 400]


@pytest.mark.slow
@pytest.mark.parametrize("jit", [False, True])
def test_nothing_moves(jit, tmp_path):
    def trained(probe):
        keras.utils.set_random_seed(1)
        model = training.dense_model()
        model.compile(
            keras.optimizers.Adam(0.01), training.loss(), jit_compile=jit
        )
        callback = gradscope.Callback(
            tmp_path / str(probe), findings=False, probe=probe
        )
        for _ in range(2):  # the second one goes on after the probe
            model.fit(X, Y, epochs=11, verbose=0, callbacks=[callback])
        drawn = np.random.random(), keras.random.uniform([]).numpy()
        return [v.numpy() for v in model.variables] + [*drawn]

    with_one, without = trained(None), trained(False)
    found = gradscope.read(tmp_path / "None").occasional("probe")[0]
    assert found.tolist() == [110, 220]
    for one, other in zip(with_one, without, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_model_that_cannot_be_probed_trains_as_before(tmp_path):
    class Fails(keras.layers.Layer):
        def call(self, x, training=False):
            if not training:
                raise RuntimeError("no inference")
            return x

        def compute_output_spec(self, x, training=False):
            return keras.KerasTensor(x.shape, x.dtype)

    model = network(Fails())
    with pytest.raises(RuntimeError, match="no inference"):
        gradscope.probe(model, X, Y)
    steps, _ = probed(model, tmp_path)
    assert len(steps) == 0
    assert gradscope.read(tmp_path).steps[-1] == 110


@pytest.mark.parametrize(
    "given",
    [
        {"x": None, "y": None},
        {"x": X[:0], "y": Y[:0]},
        {"x": X, "y": Y[:10]},
        {"x": iter([X]), "y": None},
        {"x": np.array(["a", None], object), "y": None},
    ],
)
def test_what_is_no_arrays_has_no_batch(given):
    rest = {"sample_weight": None, "batch_size": None, "shuffle": True}
    assert fit_arguments.batch(given | rest) is None


def test_a_batch_of_several_inputs():
    given = {
        "x": {"a": X, "b": tf.constant(X)},
        "y": [Y],
        "sample_weight": np.ones(300),
        "batch_size": 8,
        "shuffle": True,
    }
    x, y, weight = fit_arguments.batch(given)
    assert x["b"].shape == (32, 12) and len(y[0]) == len(weight) == 32
    np.testing.assert_array_equal(x["a"], x["b"])
