"""As training.py, for tf_keras: the ways in which people train with it."""

import functools

import numpy as np
import tensorflow as tf
import tf_keras

import gradscope

BATCH = 16
BATCHES = 9
STEPS = BATCHES

rng = np.random.default_rng(0)
X = rng.normal(size=(BATCH * BATCHES, 6)).astype("float32")
Y = rng.integers(0, 3, len(X))

current, legacy = tf_keras.optimizers, tf_keras.optimizers.legacy

OPTIMIZERS = {
    "sgd": lambda: current.SGD(0.05, momentum=0.9),
    "adam": lambda: current.Adam(0.01),
    "rmsprop": lambda: current.RMSprop(0.01),
    "adamw": lambda: current.AdamW(0.01, weight_decay=0.1, clipnorm=0.05),
    "lion": lambda: current.Lion(0.003, global_clipnorm=0.1),
    "average": lambda: current.SGD(
        0.05, momentum=0.9, use_ema=True, ema_overwrite_frequency=3
    ),
    "legacy_sgd": lambda: legacy.SGD(0.05, momentum=0.9),
    "legacy_rmsprop": lambda: legacy.RMSprop(0.01),
    "legacy_adam": lambda: legacy.Adam(0.01, clipnorm=0.05, decay=0.1),
}


def network(jit=False):
    """Dropout draws from a stream, batch norm keeps state."""
    layers = tf_keras.layers
    # What the usual one draws under XLA is not repeated in a second run.
    stream = {"rng_type": "stateful", "seed": 5} if jit else {}
    return tf_keras.Sequential(
        [
            tf_keras.Input((6,)),
            layers.Dense(8, activation="relu", name="first"),
            layers.Dropout(0.25, **stream),
            layers.BatchNormalization(name="norm"),
            layers.Dense(3, name="logits"),
        ]
    )


def plain_network(jit=False):
    layers = tf_keras.layers
    return tf_keras.Sequential(
        [
            tf_keras.Input((6,)),
            layers.Dense(8, activation="tanh", name="first"),
            layers.Dense(3, name="logits"),
        ]
    )


def loss(**options):
    return tf_keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, **options
    )


def batches():
    for start in range(0, len(X), BATCH):
        yield X[start : start + BATCH], Y[start : start + BATCH]


def fit(model, optimizer, callbacks=(), **options):
    model.compile(optimizer, loss(), **options)
    model.fit(
        X,
        Y,
        batch_size=BATCH,
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
    )


def loop(model, optimizer, wrapper=lambda f: f, before_step=lambda: None):
    compute = loss()

    def step(x, y):
        with tf.GradientTape() as tape:
            value = compute(y, model(x, training=True))
        grads = tape.gradient(value, model.trainable_variables)
        optimizer.apply_gradients(
            zip(grads, model.trainable_variables, strict=True)
        )

    step = wrapper(step)
    for x, y in batches():
        before_step()
        step(tf.constant(x), tf.constant(y))


jitted = functools.partial(tf.function, jit_compile=True)

FIT_MODES = {
    "fit_graph": fit,
    "fit_jit": functools.partial(fit, jit_compile=True),
    "fit_4_steps": functools.partial(fit, steps_per_execution=4),
    "fit_eager": functools.partial(fit, run_eagerly=True),
}

MODES = FIT_MODES | {
    "loop_eager": loop,
    "loop_function": functools.partial(loop, wrapper=tf.function),
    "loop_jit": functools.partial(loop, wrapper=jitted),
}

OBSERVED = [(mode, "wrap") for mode in MODES] + [
    (mode, "callback") for mode in FIT_MODES
]


def train(mode, optimizer, *, how=None, logdir=None, make=network, **options):
    """Trains a new model; returns it and its optimizer."""
    tf_keras.utils.set_random_seed(7)
    model = make(jit="jit" in mode)
    optimizer = OPTIMIZERS[optimizer]()
    arguments = {}
    if how == "wrap":
        gradscope.wrap(optimizer, logdir, **options)
    elif how == "callback":
        arguments["callbacks"] = [gradscope.Callback(logdir, **options)]
    MODES[mode](model, optimizer, **arguments)
    return model, optimizer


def variables(optimizer):
    found = optimizer.variables
    return found() if callable(found) else found


def state(model, optimizer):
    """Everything that training changes."""
    return [v.numpy() for v in [*model.variables, *variables(optimizer)]]
