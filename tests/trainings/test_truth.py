"""What is said of trainings whose loss is NaN, or that made no step."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import gradscope

layers = keras.layers
RANDOM = np.random.default_rng(0)


def network(*inner):
    return keras.Sequential(
        [
            keras.Input((8,)),
            *inner,
            layers.Dense(16, "relu", name="hidden"),
            layers.Dense(1, name="out"),
        ]
    )


def fit(model, logdir, loss, x=None, y=None, **options):
    x = RANDOM.normal(size=(256, 8)).astype("float32") if x is None else x
    y = (x[:, :1] > 0).astype("float32") if y is None else y
    options = {"jit_compile": False} | options
    model.compile(keras.optimizers.SGD(0.01), loss, **options)
    callback = gradscope.Callback(logdir, findings=False)
    model.fit(x, y, epochs=2, verbose=0, callbacks=[callback])
    return gradscope.read(logdir)


def log_of_a_linear_output(targets, outputs):
    """The log of a negative number is NaN, and its slope is finite."""
    terms = targets * tf.math.log(outputs)
    return -tf.reduce_mean(terms + (1 - targets) * tf.math.log(1 - outputs))


@pytest.mark.parametrize("eager", [False, True])
def test_a_loss_of_nan_beside_finite_gradients(eager, tmp_path):
    options = {"run_eagerly": eager}
    record = fit(network(), tmp_path, log_of_a_linear_output, **options)
    assert not record["gradient_nonfinite"].any()
    first = record.first_nonfinite()
    # Eagerly, the operations of a model are captured, and not those of a loss.
    name = None if eager else "log_of_a_linear_output (Log)"
    assert (first.kind, first.name) == ("loss" if eager else "layer", name)
    assert first.step == 0
    worst, *_ = gradscope.diagnose(record)
    assert (worst.kind, worst.severity) == ("non-finite", "error")


def test_inputs_in_the_hundreds_are_the_cause_of_a_nan(tmp_path):
    x = (100 * RANDOM.normal(size=(256, 8))).astype("float32")
    y = x @ RANDOM.normal(size=(8, 1)).astype("float32")
    findings = gradscope.diagnose(fit(network(), tmp_path, "mse", x, y))
    assert findings[0].kind == "non-finite"
    assert findings[0].severity == "error"
    assert findings[0].evidence["explained_by"].startswith("unscaled-")


@pytest.mark.parametrize("graph", [True, False])
def test_a_loss_that_is_not_known_is_not_called_nan(graph, tmp_path):
    """Its slope is that of a root at zero."""
    model = network()
    optimizer = gradscope.wrap(
        keras.optimizers.SGD(0.01), tmp_path, model=model
    )

    def step(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.sqrt(tf.square(model(x) - model(x))))
        weights = model.trainable_variables
        grads = tape.gradient(loss, weights)
        optimizer.apply_gradients(zip(grads, weights, strict=True))

    step = tf.function(step) if graph else step
    for _ in range(5):
        step(tf.ones([4, 8]))
    gradscope.unwrap(optimizer)
    first = gradscope.read(tmp_path).first_nonfinite()
    assert first.kind == "gradient"
    unknown = "The loss is not known, and may have been the first"
    # In a graph the loss is read, but this is its slope's NaN.
    assert (unknown in first.message) != graph


def test_a_forward_pass_that_overflows_in_every_step(tmp_path):
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = network(layers.Lambda(lambda x: x * x * x * x))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    x = np.full((256, 8), 60, "float32")
    record = fit(model, tmp_path, "mse", x)
    (found,) = gradscope.diagnose(record)
    assert (found.kind, found.severity) == ("steps-skipped", "error")
    assert "at least 16 steps were skipped" in found.what


@pytest.mark.parametrize("way", ["callback", "wrap"])
@pytest.mark.filterwarnings("ignore:`trainable` was changed")
def test_trainable_that_was_changed_after_compile(way, tmp_path):
    model = network()
    optimizer = keras.optimizers.SGD(0.01)
    if way == "wrap":
        gradscope.wrap(optimizer, tmp_path, model=model)
    model.compile(optimizer, "mse", jit_compile=False)
    callbacks = (
        [gradscope.Callback(tmp_path, findings=False)]
        if way == "callback"
        else []
    )
    x = RANDOM.normal(size=(64, 8)).astype("float32")
    for trainable in (True, False):
        model.get_layer("hidden").trainable = trainable
        model.fit(x, x[:, :1], epochs=6, verbose=0, callbacks=callbacks)
    gradscope.flush()
    record = gradscope.read(tmp_path)
    assert record.schema.stale_layers == (("hidden", True),)
    stale, *_ = [
        finding
        for finding in gradscope.diagnose(record)
        if finding.kind == "stale-trainable"
    ]
    assert (stale.severity, stale.layer) == ("warning", "hidden")
    assert "without effect: `hidden` is still trained" in stale.what


def test_a_label_out_of_range_under_xla(tmp_path):
    model = keras.Sequential([keras.Input((8,)), layers.Dense(3, name="out")])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    x = RANDOM.normal(size=(256, 8)).astype("float32")
    y = RANDOM.integers(0, 4, 256)
    record = fit(model, tmp_path, loss, x, y, jit_compile=True)
    first, second = gradscope.diagnose(record)
    assert (first.kind, second.kind) == ("non-finite", "label-out-of-range")
    assert "A label is 3, and the output has 3 classes" in second.what


@pytest.mark.parametrize("graph", [True, False])
def test_a_loop_of_ones_own_after_a_fit_has_no_loss_that_is_nan(
    graph, tmp_path
):
    model = network()
    optimizer = gradscope.wrap(
        keras.optimizers.SGD(0.01), tmp_path, model=model, every=1
    )
    model.compile(optimizer, "mse", jit_compile=False)
    x = RANDOM.normal(size=(64, 8)).astype("float32")
    model.fit(x, x[:, :1], verbose=0)

    def step(batch):
        with tf.GradientTape() as tape:
            outputs = model(batch, training=True)
            loss = tf.reduce_mean((outputs - batch[:, :1]) ** 2)
        weights = model.trainable_variables
        grads = tape.gradient(loss, weights)
        optimizer.apply_gradients(zip(grads, weights, strict=True))

    step = tf.function(step) if graph else step
    for _ in range(3):
        step(tf.constant(x[:16]))
    gradscope.unwrap(optimizer)
    record = gradscope.read(tmp_path)
    assert np.isfinite(record["loss"]).tolist() == [True] * 2 + [graph] * 3
    assert record.first_nonfinite() is None
