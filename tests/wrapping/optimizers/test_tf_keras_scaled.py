"""The loss scale of tf_keras: unscaled gradients, and skipped steps."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tf_keras_training import MODES, X, Y, current, legacy, loss, variables
from thinning import thinned

import gradscope

LossScaleOptimizer = tf_keras.mixed_precision.LossScaleOptimizer
KINDS = {"current": current, "legacy": legacy}


@pytest.fixture(autouse=True)
def mixed_float16():
    policy = tf_keras.mixed_precision.global_policy()
    tf_keras.mixed_precision.set_global_policy("mixed_float16")
    yield
    tf_keras.mixed_precision.set_global_policy(policy)


def network():
    layers = tf_keras.layers
    return tf_keras.Sequential(
        [
            tf_keras.Input((6,)),
            layers.Dense(8, activation="relu", name="first"),
            layers.Dense(3, name="logits", dtype="float32"),
        ]
    )


def train(kind, mode, *, when="before", logdir=None, **options):
    """Trains with the loss scale put on by hand or by `compile`."""
    tf_keras.utils.set_random_seed(7)
    inner = optimizer = KINDS[kind].SGD(0.5, **options)
    if when == "before":
        # Of float16, and so large that the first steps overflow.
        optimizer = LossScaleOptimizer(
            inner, initial_scale=2.0**20, dynamic_growth_steps=2
        )
    if logdir is not None:
        gradscope.wrap(optimizer, logdir, every=1, histograms=None)
    model = network()
    MODES[mode](model, optimizer)
    return [v.numpy() for v in [*model.variables, *variables(inner)]]


CASES = [
    (kind, mode, when)
    for kind in KINDS
    for mode, when in (
        ("fit_graph", "before"),
        ("fit_graph", "by compile"),
        ("fit_jit", "before"),
        ("fit_4_steps", "before"),
        ("fit_eager", "before"),
        ("fit_eager", "by compile"),
    )
]


@pytest.mark.parametrize(
    "kind, mode, when",
    thinned(
        CASES, fast=[c for c in CASES if c != ("legacy", "fit_jit", "before")]
    ),
)
def test_no_bit_changes_gradients_are_unscaled_and_skips_are_counted(
    kind, mode, when, tmp_path
):
    observed = train(kind, mode, when=when, logdir=tmp_path)
    plain = train(kind, mode, when=when)
    for expected, actual in zip(plain, observed, strict=True):
        np.testing.assert_array_equal(actual, expected)
    gradscope.flush()
    record = gradscope.read(tmp_path)
    assert record.schema.optimizer["around"].startswith("LossScaleOpt")
    assert record.steps.tolist() == list(range(9))
    skipped = np.isnan(record["update_norm"][:, 0])
    # Plain SGD: the update is the rate times what was applied.
    np.testing.assert_allclose(
        record["update_norm"][~skipped],
        0.5 * record["gradient_norm"][~skipped],
        rtol=1e-4,
    )
    assert (record["gradient_nonfinite"][~skipped] == 0).all()
    # The count of a skipped step includes it.
    np.testing.assert_array_equal(record["skipped"], np.cumsum(skipped))
    scale = 2.0**20 if when == "before" else 2.0**15
    if when == "before":
        assert skipped[0] and not skipped.all()
    good = 0
    for number in range(9):
        assert record["loss_scale"][number] == scale
        good = 0 if skipped[number] else good + 1
        if skipped[number]:
            scale /= 2
        elif good == 2 and when == "before":
            scale, good = scale * 2, 0


@pytest.mark.parametrize("wrapper", [lambda f: f, tf.function])
@pytest.mark.parametrize("kind", KINDS)
def test_a_custom_loop_with_a_fixed_scale(kind, wrapper, tmp_path):
    used, unused = tf.Variable([3.0, 4.0]), tf.Variable([1.0])
    optimizer = LossScaleOptimizer(
        KINDS[kind].SGD(0.1, clipnorm=2.0), dynamic=False, initial_scale=64.0
    )
    assert gradscope.wrap(optimizer, tmp_path, every=1) is optimizer

    @wrapper
    def run():
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(used**2) / 2
            value = optimizer.get_scaled_loss(value)
        grads = tape.gradient(value, [used, unused])
        grads = optimizer.get_unscaled_gradients(grads)
        optimizer.apply_gradients(zip(grads, [used, unused], strict=True))

    run()
    run()
    record = gradscope.read(tmp_path)
    norms = [[5, np.nan], [4.8, np.nan]]
    np.testing.assert_allclose(record["gradient_norm"], norms, rtol=1e-6)
    clipped = [[2, np.nan], [2, np.nan]]
    np.testing.assert_allclose(
        record["clipped_gradient_norm"], clipped, rtol=1e-6
    )
    np.testing.assert_array_equal(record["gradient_missing"], [[0, 1]] * 2)
    np.testing.assert_array_equal(record["loss_scale"], [64, 64])
    np.testing.assert_array_equal(record["skipped"], [0, 0])
    gradscope.unwrap(optimizer)
    for one in (optimizer, optimizer.inner_optimizer):
        assert "apply_gradients" not in vars(one)


@pytest.mark.parametrize("kind", KINDS)
def test_the_optimizer_inside_of_a_loss_scale_is_refused(kind, tmp_path):
    inner = KINDS[kind].SGD(0.1)
    LossScaleOptimizer(inner)
    with pytest.raises(
        NotImplementedError,
        match=r"inner optimizer of a LossScaleOptimizer\. Pass the Loss",
    ):
        gradscope.wrap(inner, tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_scale_that_comes_later_in_a_custom_loop_is_told(kind, tmp_path):
    inner, weight = KINDS[kind].SGD(0.1), tf.Variable([1.0])
    gradscope.wrap(inner, tmp_path)
    optimizer = LossScaleOptimizer(inner)
    grads = optimizer.get_unscaled_gradients(
        [optimizer.get_scaled_loss(tf.constant([1.0]))]
    )
    with pytest.warns(
        gradscope.GradscopeWarning,
        match=r"inner optimizer of a LossScaleOptimizer\. Pass the Loss",
    ):
        optimizer.apply_gradients(zip(grads, [weight], strict=True))
    np.testing.assert_allclose(weight.numpy(), [0.9])


def test_the_callback_observes_a_loss_scale(tmp_path):
    model = network()
    model.compile(current.SGD(0.5), loss())
    callback = gradscope.Callback(tmp_path, every=1)
    model.fit(X, Y, batch_size=16, verbose=0, callbacks=[callback])
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == list(range(9))
    assert (record["loss_scale"] <= 2**15).all()
