"""Trains units that fire on one replica only: see test_replica_units."""

import pickle
import warnings

import keras
import numpy as np
import tensorflow as tf

import gradscope

BATCH = 16
STEPS = 6
WINDOW = 40
CASES = ["fit_callback", "fit_wrap", "function"]

random = np.random.default_rng(0)
X = np.abs(random.normal(size=(BATCH * STEPS, 4))).astype("float32")
Y = random.integers(0, 3, len(X))
# One number is above zero in the half of the batch that the second replica
# gets, and one never is.
X[:, 0] = np.where(np.arange(len(X)) % BATCH < BATCH // 2, -1, 1)
X[:, 1] = -1


def network():
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(4, "relu", name="first"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Dense(3, name="logits"),
        ]
    )
    model.get_layer("first").kernel.assign(np.eye(4))
    return model


def loss(**options):
    return keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, **options
    )


def train(strategy, case, logdir):
    options = {"every": 1, "window": WINDOW}
    callbacks = []
    with strategy.scope():
        model = network()
        optimizer = keras.optimizers.SGD(0.0)
        if logdir and case == "fit_callback":
            callbacks = [gradscope.Callback(logdir, **options)]
        elif logdir:
            gradscope.wrap(optimizer, logdir, model=model, **options)
        model.compile(optimizer, loss(), jit_compile=False)
    if case == "function":
        loop(strategy, model, optimizer, loss(reduction="sum"))
    else:
        model.fit(
            X,
            Y,
            batch_size=BATCH,
            shuffle=False,
            verbose=0,
            callbacks=callbacks,
        )
    gradscope.flush()
    return [v.numpy() for v in model.variables]


def train_inside(strategy, logdir):
    """Trains a model whose output TensorFlow merges with a part of the loss,
    and of whose other part nobody needs the value."""
    with strategy.scope():
        model, optimizer = network(), keras.optimizers.SGD(0.1)
    if logdir:
        gradscope.wrap(optimizer, logdir, model=model, every=2)
    loop(
        strategy,
        model,
        optimizer,
        lambda y, logits: (
            tf.reduce_sum((tf.sigmoid(logits) - 0.3) ** 2)
            - 0.1 * tf.reduce_sum(logits)
        ),
    )
    gradscope.flush()
    return [v.numpy() for v in model.variables]


def loop(strategy, model, optimizer, compute):
    def step(x, y):
        with tf.GradientTape() as tape:
            value = compute(y, model(x, training=True)) / BATCH
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)

    @tf.function
    def run(x, y):
        strategy.run(step, (x, y))

    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(BATCH)
    for x, y in strategy.experimental_distribute_dataset(data):
        run(x, y)


def main(out):
    """Writes the weights at the end of each training, by case and number of
    replicas, to a file. What was recorded is in OUT.logs/<case>_<replicas>."""
    warnings.simplefilter("error", gradscope.GradscopeWarning)
    device = tf.config.list_physical_devices("CPU")[0]
    logical = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(device, logical)
    results = {}
    for count, strategy in (
        (1, tf.distribute.OneDeviceStrategy("CPU:0")),
        (2, tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])),
    ):
        for case in CASES:
            logdir = f"{out}.logs/{case}_{count}"
            # What is not observed is one training, with `fit`.
            alike = "fit_callback" if case == "fit_wrap" else case
            results[case, count, False] = results.get(
                (alike, count, False)
            ) or train(strategy, case, None)
            results[case, count, True] = train(strategy, case, logdir)
    for observed in (False, True):
        logdir = f"{out}.logs/inside" if observed else None
        results["inside", observed] = train_inside(strategy, logdir)
    with open(out, "wb") as file:
        pickle.dump(results, file)
