"""What `fit` says besides: the loss of a `train_step` of one's own, its end."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import gradscope
from gradscope.wrapping.forward.forward_pass import NO_LOSS

rng = np.random.default_rng(0)
X = rng.normal(size=(32, 4)).astype("float32")
Y = X[:, :1]


class Own(keras.Model):
    """Keras's guide "Customizing what happens in fit", going lower-level."""

    def __init__(self, order):
        super().__init__()
        self.dense = keras.layers.Dense(1)
        self.tracker = keras.metrics.Mean(name="loss")
        self.order = order
        self(X[:1])

    def call(self, x, training=False):
        return self.dense(x)

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            errors = keras.losses.mean_squared_error(y, self(x, training=True))
            loss = tf.reduce_mean(errors)
        if self.order == "before":
            self.tracker.update_state(loss)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        if self.order == "after":
            self.tracker.update_state(loss)
        if self.order == "each":  # example's
            self.tracker.update_state(errors)
        if self.order == "no metric":
            return {"loss": loss}
        if self.order == "nothing":
            return {"error": loss}
        return {"loss": self.tracker.result()}


def losses(model):
    """Returns the mean squared error of each batch before its step."""
    history = []

    class Measurables(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            rows = slice(8 * batch, 8 * batch + 8)
            guess = X[rows] @ model.dense.get_weights()[0]
            guess = guess + model.dense.get_weights()[1]
            history.append(np.mean((Y[rows] - guess) ** 2))

    return history, Measurables()


def fit(model, *callbacks):
    model.fit(
        X,
        Y,
        batch_size=8,
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
    )


@pytest.mark.parametrize("order", ["before", "after", "each", "no metric"])
def test_the_loss_that_a_train_step_logs_is_recorded(order, tmp_path):
    model = Own(order)
    model.compile("adam")
    expected, look = losses(model)
    fit(model, gradscope.Callback(tmp_path, findings=False), look)
    record = gradscope.read(tmp_path)
    np.testing.assert_allclose(record["loss"], expected, rtol=1e-5)
    assert record.schema.unseen == ()
    if order != "no metric":
        logged = record.logs[0].values["loss"]
        assert np.mean(record["loss"]) == pytest.approx(logged, rel=1e-6)


def test_a_loss_that_is_not_known_is_said_not_to_be(tmp_path):
    model = Own("nothing")
    model.compile("adam")
    fit(model, gradscope.Callback(tmp_path, findings=False))
    record = gradscope.read(tmp_path)
    assert np.isnan(record["loss"]).all()
    assert record.schema.unseen == (NO_LOSS,)


def test_nothing_is_said_of_the_loss_in_a_loop(tmp_path):
    model = Own("after")
    optimizer = gradscope.wrap(keras.optimizers.SGD(), tmp_path, model=model)

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = model.compute_loss(x, y, model(x, training=True))
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)

    model.compile(optimizer, "mse")
    optimizer.build(model.trainable_variables)
    step(X, Y)
    gradscope.flush()
    assert NO_LOSS not in gradscope.read(tmp_path).schema.unseen


@pytest.mark.parametrize("scaled", [False, True])
def test_when_fit_ends_all_is_written(scaled, tmp_path):
    """Ray Tune, for one, ends its workers without Python's exit."""
    optimizer = keras.optimizers.SGD()
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    gradscope.wrap(optimizer, tmp_path)
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(optimizer, "mse")
    for count in (4, 8):
        fit(model)
        steps = gradscope.read(tmp_path).steps
        assert steps.tolist() == list(range(count))
    gradscope.unwrap(optimizer)
    assert "finalize_variable_values" not in vars(optimizer)
