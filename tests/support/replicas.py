"""Trains on several replicas, in a process of its own: see test_replicas."""

import json
import pickle
import warnings

import keras
import numpy as np
import tensorflow as tf

import gradscope

BATCH = 12
STEPS = 4

rng = np.random.default_rng(0)
X = rng.normal(size=(BATCH * STEPS, 5)).astype("float32")
Y = rng.integers(0, 3, len(X))

OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.1, momentum=0.9),
    "adamw": lambda: keras.optimizers.AdamW(0.01, clipnorm=0.05),
    "scaled": lambda: keras.optimizers.SGD(0.1, loss_scale_factor=64.0),
    "clipped_scaled": lambda: keras.optimizers.SGD(
        0.1, global_clipnorm=0.1, loss_scale_factor=64.0
    ),
    "loss_scale": lambda: keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam(0.01)
    ),
}

#: Mode, optimizer and how it is observed.
MIRRORED = [
    ("fit", "sgd", "wrap"),
    ("fit", "sgd", "callback"),
    ("fit", "adamw", "wrap"),
    ("fit", "loss_scale", "wrap"),
    ("function", "sgd", "wrap"),
    ("function", "clipped_scaled", "wrap"),
    ("function", "scaled", "wrap"),
    ("function", "loss_scale", "wrap"),
    ("eager", "sgd", "wrap"),
    ("eager", "adamw", "wrap"),
]

#: Each mode, each optimizer, each way to observe; `make test-all` has the rest.
FAST = [
    ("fit", "sgd", "wrap"),
    ("fit", "sgd", "callback"),
    ("fit", "loss_scale", "wrap"),
    ("function", "clipped_scaled", "wrap"),
    ("function", "scaled", "wrap"),
    ("function", "loss_scale", "wrap"),
    ("eager", "adamw", "wrap"),
]

# Keras 3 itself cannot `fit` on several workers, tf_keras can.
WORKERS = [
    ("function", "sgd", "wrap"),
    ("function", "adamw", "wrap"),
    ("tf_keras", "sgd", "wrap"),
    ("tf_keras", "legacy_sgd", "wrap"),
]


def network():
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((5,)),
            layers.Dense(7, "tanh", name="first"),
            layers.Dense(3, name="logits"),
        ],
        name="network",
    )


def loss(**options):
    return keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, **options
    )


def train(strategy, mode, optimizer, how, logdir):
    """Returns the weights before every step, and those at the end."""
    if mode == "tf_keras":
        import tf_keras_replicas

        return tf_keras_replicas.train(strategy, "fit", optimizer, how, logdir)
    keras.utils.set_random_seed(7)
    notes = []
    with strategy.scope():
        model = network()
        optimizer = OPTIMIZERS[optimizer]()
        if how == "wrap":
            gradscope.wrap(optimizer, logdir, every=1)
        optimizer.build(model.trainable_variables)

    def note(*_, **__):
        notes.append(
            [
                strategy.experimental_local_results(v.value)[0].numpy()
                for v in model.variables
            ]
        )

    if mode == "fit":
        callbacks = [keras.callbacks.LambdaCallback(on_train_batch_begin=note)]
        if how == "callback":
            callbacks.append(gradscope.Callback(logdir, every=1))
        with strategy.scope():
            model.compile(optimizer, loss(), jit_compile=False)
        model.fit(
            X,
            Y,
            batch_size=BATCH,
            shuffle=False,
            verbose=0,
            callbacks=callbacks,
        )
    else:
        loop(strategy, model, optimizer, note, mode == "function")
    note()
    gradscope.flush()
    return notes


def dataset():
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(BATCH)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.DATA
    )
    return data.with_options(options)


def loop(strategy, model, optimizer, before_step, compiled):
    compute = loss(reduction="sum")

    def step(x, y):
        with tf.GradientTape() as tape:
            value = compute(y, model(x, training=True)) / BATCH
            value = optimizer.scale_loss(value)
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)

    def run(x, y):
        strategy.run(step, (x, y))

    if compiled:
        run = tf.function(run)
    for x, y in strategy.experimental_distribute_dataset(dataset()):
        before_step()
        run(x, y)


def mirrored():
    """Returns a strategy of two logical devices of this process."""
    device = tf.config.list_physical_devices("CPU")[0]
    logical = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(device, logical)
    return tf.distribute.MirroredStrategy()


def accumulate(logdir):
    """Wraps an optimizer that adds up gradients of several replicas."""
    with mirrored().scope():
        optimizer = keras.optimizers.SGD(gradient_accumulation_steps=2)
    gradscope.wrap(optimizer, logdir)


def main(kind, out, cases):
    """Trains, plain and observed.

    Args:
        kind: `"mirrored"`, or `"workers"` for one of two, as `TF_CONFIG` says.
        out: File for the weights before every step of each training, and at
            its end. What was recorded is beside it, in OUT.logs/<case>.
        cases: Some of those above, as JSON.
    """
    warnings.simplefilter("error", gradscope.GradscopeWarning)
    if kind == "mirrored":
        strategy = mirrored()
    else:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    assert strategy.num_replicas_in_sync == 2
    results = {}
    for mode, optimizer, how in json.loads(cases):
        for observed in (None, how):
            if (mode, optimizer, observed) in results:
                continue
            logdir = f"{out}.logs/{mode}_{optimizer}_{observed}"
            results[mode, optimizer, observed] = train(
                strategy, mode, optimizer, observed, logdir
            )
    with open(out, "wb") as file:
        pickle.dump(results, file)
