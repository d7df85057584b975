"""Two trainings, in which something happens before each step."""

import keras
import numpy as np
import tensorflow as tf
import training

#: The step before which the fault comes, and that after which the records are
#: written that there are.
FAULT, DRAINED = 11, 8


def network(nan):
    """Two layers, and a dropout that draws from a stream."""
    layers = keras.layers
    # On some CPUs a ReLU that oneDNN has fused makes zero of a NaN.
    activation = "tanh" if nan else "relu"
    return keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(8, activation, name="first"),
            layers.Dropout(0.25, name="dropout"),
            layers.Dense(3, name="logits"),
        ],
        name="network",
    )


def loop(optimizer, before_step, nan=False):
    """Trains in a loop; returns the model."""
    keras.utils.set_random_seed(7)
    model = network(nan)
    compute = training.loss()

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            value = compute(y, model(x, training=True))
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)

    optimizer.build(model.trainable_variables)
    for n, (x, y) in enumerate(training.batches()):
        before_step(n)
        step(tf.constant(x * np.nan if nan and n >= FAULT else x), y)
    return model


def fit(optimizer, before_step, nan=False):
    """Trains with `fit`; returns the model."""
    keras.utils.set_random_seed(7)
    model = network(nan)
    x = np.concatenate([x for x, _ in training.batches()])
    y = np.concatenate([y for _, y in training.batches()])
    if nan:
        x[FAULT * training.BATCH :] = np.nan
    seen = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs=None: before_step(batch)
    )
    model.compile(optimizer, training.loss(), jit_compile=False)
    model.fit(
        x,
        y,
        batch_size=training.BATCH,
        shuffle=False,
        verbose=0,
        callbacks=[seen],
    )
    return model
