"""The ways in which people train, as functions, for the mode tests."""

import functools

import keras
import numpy as np
import tensorflow as tf

import gradscope

BATCH = 16
BATCHES = 11  # the last one is smaller, and no ring or epoch ends with it
EPOCHS = 2
STEPS = BATCHES * EPOCHS

rng = np.random.default_rng(0)
X = rng.normal(size=(BATCH * BATCHES - 6, 12)).astype("float32")
Y = rng.integers(0, 3, len(X))

OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.05, momentum=0.9),
    "adam": lambda: keras.optimizers.Adam(0.01),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.01),
    "adamw": lambda: keras.optimizers.AdamW(
        0.01, weight_decay=0.1, clipnorm=0.05
    ),
    "lion": lambda: keras.optimizers.Lion(0.003),
}


def dense_model(activation="relu"):
    """Dropout draws from a stream, batch norm keeps state."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(16, activation=activation, name="first"),
            layers.Dropout(0.25),
            layers.BatchNormalization(name="norm"),
            layers.Dense(8, activation="tanh", name="second"),
            layers.Dense(3, name="logits"),
        ],
        name="dense_model",
    )


def loss():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def batches():
    for _ in range(EPOCHS):
        for start in range(0, len(X), BATCH):
            yield X[start : start + BATCH], Y[start : start + BATCH]


def fit(model, optimizer, callbacks=(), data=None, **compile_arguments):
    """Trains for two epochs, or for one of other data."""
    x, y = data or (X, Y)
    model.compile(optimizer, loss(), **compile_arguments)
    model.fit(
        x,
        y,
        batch_size=BATCH,
        epochs=1 if data else EPOCHS,
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
    )


def loop(
    model,
    optimizer,
    before_step=lambda: None,
    wrapper=lambda f: f,
    data=None,
):
    """Trains in a loop of one's own, on other batches where they are given."""
    compute = loss()

    def step(x, y):
        with tf.GradientTape() as tape:
            value = compute(y, model(x, training=True))
            value = optimizer.scale_loss(value)
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return value

    optimizer.build(model.trainable_variables)
    step = wrapper(step)
    for x, y in data or batches():
        before_step()
        step(tf.constant(x), tf.constant(y))


FIT_MODES = {
    "fit_graph": functools.partial(fit, jit_compile=False),
    "fit_jit": functools.partial(fit, jit_compile=True),
    "fit_7_steps": functools.partial(
        fit, steps_per_execution=7, jit_compile=False
    ),
    "fit_100_steps": functools.partial(
        fit, steps_per_execution=100, jit_compile=False
    ),
    "fit_7_steps_jit": functools.partial(
        fit, steps_per_execution=7, jit_compile=True
    ),
    "fit_eager": functools.partial(fit, run_eagerly=True),
}

LOOP_MODES = {
    "loop_eager": loop,
    "loop_function": functools.partial(loop, wrapper=tf.function),
    "loop_jit": functools.partial(
        loop, wrapper=functools.partial(tf.function, jit_compile=True)
    ),
}

MODES = FIT_MODES | LOOP_MODES

#: Those that take different ways through gradscope, where all would be many.
FEW = ["fit_graph", "fit_7_steps_jit", "loop_eager", "loop_function"]

#: Every way to be observed in every mode.
OBSERVED = [(mode, "wrap") for mode in MODES] + [
    (mode, "callback") for mode in FIT_MODES
]


def train(
    mode, optimizer, *, how=None, logdir=None, make=dense_model, **options
):
    """Trains a new model; returns it and its optimizer.

    `how` is None for training without gradscope, else "wrap" or "callback".
    """
    keras.utils.set_random_seed(7)
    model = make()
    optimizer = OPTIMIZERS[optimizer]()
    arguments = {}
    if how == "wrap":
        gradscope.wrap(optimizer, logdir, **options)
    elif how == "callback":
        arguments["callbacks"] = [gradscope.Callback(logdir, **options)]
    MODES[mode](model, optimizer, **arguments)
    return model, optimizer


def state(model, optimizer):
    """Everything that training changes: weights, statistics, random streams,
    the optimizer's slots."""
    variables = [*model.variables, *optimizer.variables]
    return [v.numpy() for v in variables]
