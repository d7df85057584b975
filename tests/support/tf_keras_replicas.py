"""Trains with tf_keras on two logical devices: see test_tf_keras_replicas."""

import json
import pickle
import warnings

import numpy as np
import tensorflow as tf
import tf_keras

import gradscope

BATCH = 12
STEPS = 4
CLIP = 0.1

rng = np.random.default_rng(0)
X = rng.normal(size=(BATCH * STEPS, 5)).astype("float32")
Y = rng.integers(0, 3, len(X))

current, legacy = tf_keras.optimizers, tf_keras.optimizers.legacy
LossScaleOptimizer = tf_keras.mixed_precision.LossScaleOptimizer

OPTIMIZERS = {
    "sgd": lambda: current.SGD(0.1, momentum=0.9, clipnorm=CLIP),
    "legacy_sgd": lambda: legacy.SGD(0.1, momentum=0.9, clipnorm=CLIP),
    "scaled": lambda: LossScaleOptimizer(current.SGD(0.1, clipnorm=CLIP)),
    "legacy_scaled": lambda: LossScaleOptimizer(legacy.SGD(0.1, clipnorm=CLIP)),
}

#: Mode, optimizer and how it is observed.
CASES = [(m, o, "wrap") for m in ("fit", "function") for o in OPTIMIZERS] + [
    ("fit", "sgd", "callback"),
    ("fit", "legacy_sgd", "callback"),
    ("eager", "sgd", "wrap"),
    ("eager", "legacy_sgd", "wrap"),
    ("own", "sgd", "wrap"),
    ("own", "legacy_sgd", "wrap"),
]

#: Each mode, each optimizer, each way to observe; `make test-all` has the rest.
FAST = [
    ("fit", "sgd", "wrap"),
    ("fit", "sgd", "callback"),
    ("fit", "legacy_scaled", "wrap"),
    ("function", "legacy_sgd", "wrap"),
    ("function", "scaled", "wrap"),
    ("eager", "sgd", "wrap"),
    ("eager", "legacy_sgd", "wrap"),
    ("own", "legacy_sgd", "wrap"),
]


def network():
    layers = tf_keras.layers
    return tf_keras.Sequential(
        [
            tf_keras.Input((5,)),
            layers.Dense(7, "tanh", name="first"),
            layers.Dense(3, name="logits"),
        ]
    )


def loss(**options):
    return tf_keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, **options
    )


def train(strategy, mode, optimizer, how, logdir):
    """Returns the weights before every step, and those at the end."""
    tf_keras.utils.set_random_seed(7)
    notes = []
    with strategy.scope():
        model = network()
        optimizer = OPTIMIZERS[optimizer]()
        if how == "wrap":
            gradscope.wrap(optimizer, logdir, every=1, histograms=None)

    def note(*_):
        notes.append(model.get_weights())

    if mode == "fit":
        callbacks = [
            tf_keras.callbacks.LambdaCallback(on_train_batch_begin=note)
        ]
        if how == "callback":
            callbacks.append(gradscope.Callback(logdir, every=1))
        with strategy.scope():
            model.compile(optimizer, loss())
        options = {"batch_size": BATCH, "shuffle": False, "verbose": 0}
        model.fit(X, Y, callbacks=callbacks, **options)
    else:
        loop(strategy, model, optimizer, note, mode)
    note()
    gradscope.flush()
    return notes


def loop(strategy, model, optimizer, before_step, mode):
    with strategy.scope():
        compute = loss(reduction=tf_keras.losses.Reduction.SUM)
    scaled = hasattr(optimizer, "inner_optimizer")

    def step(x, y):
        with tf.GradientTape() as tape:
            value = compute(y, model(x, training=True)) / BATCH
            if scaled:
                value = optimizer.get_scaled_loss(value)
        grads = tape.gradient(value, model.trainable_variables)
        if scaled:
            grads = optimizer.get_unscaled_gradients(grads)
        options = {}
        if mode == "own":  # adds the gradients up itself
            context = tf.distribute.get_replica_context()
            grads = context.all_reduce("sum", grads)
            options["experimental_aggregate_gradients"] = False
        optimizer.apply_gradients(
            zip(grads, model.trainable_variables, strict=True), **options
        )

    def run(x, y):
        strategy.run(step, (x, y))

    if mode != "eager":
        run = tf.function(run)
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(BATCH)
    for x, y in strategy.experimental_distribute_dataset(data):
        before_step()
        run(x, y)


def main(out, cases):
    """Trains, plain and observed.

    Args:
        out: File for the weights before every step of each training, and at
            its end. What was recorded is beside it, in OUT.logs/<case>.
        cases: Some of those above, as JSON.
    """
    warnings.simplefilter("error", gradscope.GradscopeWarning)
    device = tf.config.list_physical_devices("CPU")[0]
    logical = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(device, logical)
    strategy = tf.distribute.MirroredStrategy()
    assert strategy.num_replicas_in_sync == 2
    results = {}
    for mode, optimizer, how in json.loads(cases):
        for observed in (None, how):
            if (mode, optimizer, observed) not in results:
                results[mode, optimizer, observed] = train(
                    strategy,
                    mode,
                    optimizer,
                    observed,
                    f"{out}.logs/{mode}_{optimizer}_{observed}",
                )
    with open(out, "wb") as file:
        pickle.dump(results, file)
