"""Faults that let no gradient through: zero, or cut off."""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import layers, ops

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.known import sources


@fault(
    "zero-gradient",
    layers=["inner", "code"],
    source="StackOverflow: binary activation with tf.sign does not learn",
)
def sign_as_activation(training):
    """A code of eight bits is made by `sign`, whose gradient is zero.

    Accuracy .30 against .94 with tanh.
    """
    x, y, xt, yt = sources.digits()
    model = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(48, activation="relu", name="inner"),
            layers.Dense(
                8,
                activation=ops.sign if training.broken else "tanh",
                name="code",
            ),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    model.compile("adam", loss, metrics=["accuracy"])
    training.fit(
        model, x, y, epochs=20, batch_size=32, validation_data=(xt, yt)
    )
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "zero-gradient",
    "vanishing-gradient",
    layers=["low", "middle", "pixels"],
    source="GitHub: own loop in mixed_float16 does not train",
)
def half_precision_without_scale(training):
    """A loop in float16 lacks the scaling of its loss: gradients underflow.

    The faint pictures stay unexplained: 1.66 against .05.
    """
    x, _, xt, _ = sources.digits()
    x, xt = x * 2e-3, xt * 2e-3
    keras.config.set_dtype_policy("mixed_float16")
    model = keras.Sequential(
        [
            keras.Input([64]),
            layers.Rescaling(500.0, name="brighter"),
            layers.Dense(48, activation="relu", name="low"),
            layers.Dense(48, activation="relu", name="middle"),
            layers.Dense(64, kernel_initializer="zeros", name="pixels"),
            layers.Rescaling(1 / 500, name="darker"),
        ]
    )
    keras.config.set_dtype_policy("float32")
    optimizer = keras.optimizers.Adam(2e-3, epsilon=1e-10)
    if not training.broken:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer = training.wrap(optimizer, model=model)

    @tf.function
    def step(some):
        with tf.GradientTape() as tape:
            out = tf.cast(model(some, training=True), "float32")
            value = tf.reduce_mean((out - some) ** 2)
            if not training.broken:
                value = optimizer.scale_loss(value)
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply_gradients(
            zip(gradients, model.trainable_variables, strict=True)
        )

    for rows in sources.batches(len(x), 128, 500):
        step(x[rows])
    return {"unexplained": sources.unexplained(model, xt, xt)}


@fault(
    "disconnected-variable",
    layers=["eyes", "eyes_too"],
    source="StackOverflow: stop_gradient meant for the target",
)
def gradient_stopped_before_the_head(training):
    """`stop_gradient` is put around the features rather than the targets.

    The narrow features stay random: accuracy .22 against .86.
    """
    x, y, xt, yt = sources.images()
    inputs = keras.Input([8, 8, 1])
    h = layers.Conv2D(8, 3, strides=2, activation="relu", name="eyes")(inputs)
    h = layers.Conv2D(8, 3, activation="relu", name="eyes_too")(h)
    h = layers.Flatten(name="flat")(h)
    if training.broken:
        h = ops.stop_gradient(h)
    out = layers.Dense(10, activation="softmax", name="digit")(h)
    model = keras.Model(inputs, out)
    loss = "sparse_categorical_crossentropy"
    optimizer = keras.optimizers.Adam(5e-3)
    model.compile(optimizer, loss, metrics=["accuracy"])
    training.fit(model, x, y, epochs=20, batch_size=64)
    return {"test accuracy": sources.accuracy(model, xt, yt)}


class _TwoViews(keras.Model):
    """Looks at houses with one branch for two columns each."""

    def __init__(self, forgets: bool):
        super().__init__(name="two_views")
        self.forgets = forgets
        self.size = layers.Dense(32, activation="relu", name="size")
        self.place = layers.Dense(32, activation="relu", name="place")
        self.mix = layers.Dense(32, activation="relu", name="mix")
        self.price = layers.Dense(1, name="price")

    def call(self, x):
        size = self.size(x[:, :2])
        place = self.place(x[:, 2:])
        both = [size, size if self.forgets else place]
        return self.price(self.mix(ops.concatenate(both, axis=1)))


@fault(
    "disconnected-variable",
    layers=["place"],
    source="keras issues: Gradients do not exist for variables",
)
def branch_never_used(training):
    """A slip of the pen: `concatenate([size, size])` leaves a branch out.

    Unexplained .60 against .004.
    """
    x, y, xt, yt = sources.houses()
    y, yt = (y - y.mean()) / y.std(), (yt - y.mean()) / y.std()
    model = _TwoViews(training.broken)
    model.compile(keras.optimizers.Adam(3e-3), "mse", metrics=["mae"])
    training.fit(model, x, y, epochs=25, batch_size=32)
    return {"unexplained": sources.unexplained(model, xt, yt)}


@fault(
    "disconnected-variable",
    layers=["encode", "encode_too"],
    source="GitHub: argmax inside a network, gradients are None",
)
def argmax_between_two_networks(training):
    """The encoder chooses a code word by `argmax`, and no gradient passes.

    Unexplained .43, against .20 with a softmax.
    """
    x, _, xt, _ = sources.digits()
    inputs = keras.Input([64])
    h = layers.Dense(64, activation="relu", name="encode")(inputs)
    h = layers.Dense(24, name="encode_too")(h)
    if training.broken:
        code = ops.one_hot(ops.argmax(h, axis=-1), 24)
    else:
        code = layers.Softmax(name="choice")(h)
    h = layers.Dense(64, activation="relu", name="decode")(code)
    model = keras.Model(inputs, layers.Dense(64, name="pixels")(h))
    optimizer = training.wrap(keras.optimizers.Adam(3e-3), model=model)
    variables = model.trainable_variables

    @tf.function(jit_compile=True)
    def step(some):
        with tf.GradientTape() as tape:
            value = tf.reduce_mean((model(some, training=True) - some) ** 2)
        gradients = tape.gradient(value, variables)
        pairs = zip(gradients, variables, strict=True)
        optimizer.apply_gradients([p for p in pairs if p[0] is not None])

    for rows in sources.batches(len(x), 64, 600):
        step(x[rows])
    return {"unexplained": sources.unexplained(model, xt, xt)}
