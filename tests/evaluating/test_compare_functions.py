"""Are these two the same function? Asked of real models and losses."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
import training
import virtual_batch_norm as vbn

import gradscope

layers = keras.layers
X, Y = vbn.X, vbn.Y
BIASES = {f"Layer{n}/bias" for n in range(3)}


def losses(w=None, w_b=None, **fault):
    w = vbn.weights() if w is None else w
    return (
        vbn.loss(vbn.one_pass, w),
        vbn.loss(vbn.two_passes, w if w_b is None else w_b, **fault),
    )


def words(found):
    """The text without its line breaks."""
    return " ".join(str(found).split())


def noise(found):
    return {row.variable for row in found.rows if row.noise}


def test_virtual_batch_norm_in_one_pass_and_in_two_is_the_same_function():
    found = gradscope.same(*losses(), X, Y)
    assert found.same and found.way is None
    assert found.largest("float64") < 1e-13 < 1e-7 < found.largest("float32")
    assert found.largest("float32") < 1e-4
    # The true gradient of a bias before a norm is 0; its noise differs.
    assert noise(found) == BIASES
    rows = {row.variable: row for row in found.rows}
    assert all(rows[name].float32.relative > 0.1 for name in BIASES)
    assert str(found).startswith("The two are the same function: in float64")
    assert [row.variable for row in found.rows] == list(vbn.weights())


def test_with_weights_of_its_own_the_second_is_computed_with_the_firsts():
    w, w_b = vbn.weights(), vbn.weights("again/", seed=2)
    before = {name: v.numpy() for name, v in w_b.items()}
    found = gradscope.same(*losses(w, w_b), X, Y)
    assert found.same and set(found.moved) == set(w)
    assert [row.variable_b for row in found.rows] == list(w)
    for name, value in before.items():
        np.testing.assert_array_equal(w_b[name].numpy(), value)


@pytest.mark.parametrize("layer", range(3))
@pytest.mark.parametrize(
    "way, fault", [("forward", "wrong_half"), ("backward", "stop")]
)
def test_a_fault_is_found_in_its_layer(layer, way, fault):
    found = gradscope.same(*losses(**{fault: layer}), X, Y)
    assert (found.same, found.way) == (False, way)
    assert found.layer == f"Norm{layer}"
    assert found.largest("float64") > 0.1
    if fault == "stop":
        assert "has a `stop_gradient` that the" in words(found)


@pytest.mark.parametrize("program", [vbn.one_pass, vbn.two_passes])
def test_a_fault_is_found_between_programs_of_one_form(program):
    w = vbn.weights()
    pair = vbn.loss(program, w), vbn.loss(program, w, wrong_half=1)
    assert gradscope.same(*pair, X, Y).layer == "Norm1"
    assert gradscope.same(*pair[::-1], X, Y).layer == "Norm1"
    assert gradscope.same(pair[0], pair[0], X, Y).largest("float32") == 0


def test_the_keras_forms_are_the_same_function():
    a, b = vbn.model(vbn.OnePass), vbn.model(vbn.TwoPasses, seed=4)
    found = gradscope.same(a, b, X, Y)
    assert found.same and found.largest("float64") < 1e-12
    assert noise(found) == {f"conv{n}/bias" for n in range(3)}
    assert "conv0/kernel" in found.moved


@pytest.mark.parametrize("fault", ["wrong_half", "stop"])
def test_a_fault_of_a_keras_form_is_found_in_its_layer(fault):
    a, b = vbn.model(vbn.OnePass), vbn.model(vbn.TwoPasses, **{fault: 1})
    found = gradscope.same(a, b, X, Y)
    assert not found.same and found.layer == "norm1"


# Losses of all kinds.

V = tf.Variable([1.0, 2.0, 3.0], name="dense/kernel")


def square():
    return tf.reduce_sum(V**2)


def test_a_loss_without_a_batch_and_one_that_is_a_function_itself():
    @tf.function
    def other():
        total = 0.0
        for element in V:  # a loop over a tensor
            if element > 0:
                total += element * element
        return total

    found = gradscope.same(square, other)
    assert found.same and found.losses["float64"] == (14, 14)


def test_an_epsilon_is_a_difference():
    def normalised(epsilon):
        return lambda: tf.reduce_sum(
            V / tf.sqrt(tf.reduce_mean(V**2) + epsilon)
        )

    found = gradscope.same(normalised(1e-5), normalised(1e-6))
    assert found.same is False
    assert 1e-8 < found.largest("float64") < 1e-4


def test_variables_may_be_given_and_be_no_trainable_ones():
    fixed = tf.Variable([1.0, 1.0], trainable=False, name="fixed")

    def other():
        return tf.reduce_sum(V**2) * tf.reduce_prod(fixed)

    assert gradscope.same(square, other).same
    found = gradscope.same((square, [V]), (other, [V, fixed]))
    assert not found.same and found.only_b == ("fixed/fixed",)


def test_scaling_and_a_constant_are_differences():
    double = gradscope.same(square, lambda: 2 * square())
    assert double.same is False  # the losses differ, too
    scaled = gradscope.same(
        square, lambda: 2 * square() - tf.stop_gradient(square())
    )
    assert "second function are 2 times those of the first" in scaled.place
    assert gradscope.same(square, lambda: square() + 1).same is False


def test_rows_of_an_embedding_are_gradients_like_others():
    table = tf.Variable(np.arange(12.0, dtype="float32").reshape(6, 2))

    def gathered():
        return tf.reduce_sum(tf.gather(table, [1, 4, 4]) ** 2)

    def multiplied():
        chosen = tf.one_hot([1, 4, 4], 6)
        return tf.reduce_sum((chosen @ table) ** 2)

    assert gradscope.same(gathered, multiplied).same


def test_what_has_no_float64_is_told_and_judged_by_float32():
    image = tf.Variable(np.ones((1, 4, 4, 1), "float32"), name="image/pixels")

    def resized(size):
        return lambda: tf.reduce_sum(tf.image.resize(image, [size, 5]) ** 2)

    found = gradscope.same(resized(6), resized(6))
    assert found.same and found.precision == "float32"
    assert "ResizeBilinear, ResizeBilinearGrad cannot compute in float64" in (
        words(found)
    )
    assert found.rows[0].float64 is None
    assert gradscope.same(resized(6), resized(9)).same is False


def test_random_numbers_that_no_variable_decides_on_are_told():
    def noisy():
        return tf.reduce_sum(V * tf.random.normal([3]))

    found = gradscope.same(noisy, square)
    assert found.random == (True, False)
    assert "differs from itself" in words(found)


# Models of all kinds, each held beside a copy with other weights.


def recurrent():
    return keras.Sequential(
        [
            keras.Input((3, 4)),
            layers.LSTM(5, dropout=0.2),
            layers.Dropout(0.5),
            layers.Dense(3),
        ]
    )


def convolutional():
    return keras.Sequential(
        [
            keras.Input((12,)),
            layers.Reshape((3, 4, 1)),
            layers.Conv2D(4, 2, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(3, kernel_regularizer="l2"),
        ]
    )


def compiled(make, seed=7, library=keras):
    library.utils.set_random_seed(seed)
    model = make()
    loss = library.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


@pytest.mark.parametrize(
    "make", [training.dense_model, convolutional, recurrent]
)
def test_a_model_is_the_same_function_as_its_copy(make):
    a, b = compiled(make), compiled(make, seed=8)
    x = training.X[:16].reshape((16, *a.input_shape[1:]))
    found = gradscope.same(a, b, x, training.Y[:16])
    assert found.same and found.largest("float64") < 1e-12
    found = gradscope.same(a, b, x, training.Y[:16], training=False)
    assert found.same


def test_mixed_precision_is_the_same_function_in_float64():
    def make(policy):
        return lambda: keras.Sequential(
            [
                keras.Input((12,)),
                layers.Dense(8, "relu", dtype=policy, name="one"),
                layers.Dense(3, dtype="float32", name="two"),
            ]
        )

    a, b = compiled(make("float32")), compiled(make("mixed_float16"))
    found = gradscope.same(a, b, training.X[:8], training.Y[:8])
    assert found.same and found.largest("float32") > 1e-4


def test_a_model_of_tf_keras():
    def make():
        return tf_keras.Sequential(
            [
                tf_keras.layers.Dense(8, "tanh", input_shape=(12,)),
                tf_keras.layers.Dense(3),
            ]
        )

    pair = (compiled(make, seed, tf_keras) for seed in (1, 2))
    assert gradscope.same(*pair, training.X[:8], training.Y[:8]).same


def test_nothing_moves():
    model = compiled(training.dense_model)
    twin = compiled(training.dense_model)
    for one in (model, twin):
        one.fit(training.X, training.Y, epochs=1, shuffle=False, verbose=0)
    drawn = tf.random.get_global_generator().state.numpy()
    gradscope.same(model, model, training.X, training.Y)
    for one in (model, twin):
        one.fit(training.X, training.Y, epochs=1, shuffle=False, verbose=0)
    moving = itertools.chain(model.variables, model.optimizer.variables)
    still = itertools.chain(twin.variables, twin.optimizer.variables)
    for actual, expected in zip(moving, still, strict=True):
        np.testing.assert_array_equal(actual.numpy(), expected.numpy())
    np.testing.assert_array_equal(
        tf.random.get_global_generator().state.numpy(), drawn
    )


# What cannot be compared says why.


def test_arguments_that_are_neither_model_nor_loss():
    with pytest.raises(
        TypeError, match=r"`b` must be a compiled Keras .*int\."
    ):
        gradscope.same(square, 3)


def test_a_loss_of_many_numbers():
    with pytest.raises(
        ValueError, match=r"loss of `a` must be one.*\(3,\).*mea"
    ):
        gradscope.same(lambda: V**2, square)


def test_a_loss_of_no_variable():
    with pytest.raises(
        ValueError, match=r"of `b` depends on no trainable vari"
    ):
        gradscope.same(square, lambda: tf.constant(1.0))


def test_nothing_in_common():
    other = tf.Variable([[1.0]], name="other/kernel")
    with pytest.raises(
        ValueError, match=r"no trainable variable in common.*othe"
    ):
        gradscope.same(square, lambda: tf.reduce_sum(other))


def test_a_model_without_a_loss():
    model = keras.Sequential([keras.Input((12,)), layers.Dense(3)])
    with pytest.raises(ValueError, match="has no loss to probe"):
        gradscope.same(model, model, training.X, training.Y)


def test_while_a_graph_is_built():
    with pytest.raises(RuntimeError, match=r"gradscope\.same needs eager"):
        tf.function(lambda: gradscope.same(square, square))()
