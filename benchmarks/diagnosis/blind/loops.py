"""Steps: what is trained, by which optimizer, at which rate."""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis import data
from benchmarks.diagnosis.blind import sources
from benchmarks.diagnosis.case import fault


@fault(
    "learning-rate",
    cause="The learning rate is a Python function of a counter, which is "
    "called once, when the step is traced, so the rate of the first step of "
    "the warm-up stays for ever.",
    source="tensorflow/tensorflow #31323",
)
def rate_of_the_first_step(training):
    """A callable learning rate "seems to be called once, then a cached value
    is used": the warm-up never leaves its first step. Accuracy .18
    against .94."""
    x, y, xt, yt = sources.digits()
    count = [0]

    def warm(step):
        return 0.005 * min(1.0, (step + 1) / 200)

    class Schedule(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.005 * tf.minimum(1.0, (tf.cast(step, "float32") + 1) / 200)

    def counted(batch, logs=None):
        count[0] += 1

    rate = (lambda: warm(count[0])) if training.broken else Schedule()
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(48, activation="relu", name="hidden"),
            layers.Dense(10, activation="softmax", name="out"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(rate), sources.SPARSE, metrics=["accuracy"]
    )
    training.fit(
        model,
        x,
        y,
        epochs=12,
        batch_size=32,
        callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=counted)],
    )
    return sources.accuracy(model, xt, yt)


class _Scales(layers.Layer):
    """Multiplies by matrices in a row."""

    def __init__(self, depth, tracked, **options):
        super().__init__(**options)
        self.depth, self.tracked, self.matrices = depth, tracked, []

    def build(self, shape):
        size = shape[-1]
        for i in range(self.depth):
            if self.tracked:
                matrix = self.add_weight(shape=(size, size), name=f"w{i}")
            else:
                start = keras.initializers.GlorotUniform(i)
                matrix = tf.Variable(start((size, size)), name=f"w{i}")
            self.matrices.append(matrix)

    def call(self, x):
        for matrix in self.matrices:
            x = tf.nn.relu(tf.matmul(x, tf.convert_to_tensor(matrix)))
        return x


@fault(
    "untracked-variable",
    cause="A layer of one's own makes its weights with tf.Variable, which "
    "Keras does not track, so they keep their first values.",
    layers=["scales"],
    source="tensorflow/tensorflow #38211",
)
def variables_in_a_list(training):
    """Variables appended to a list are missing in trainable_variables, and
    nobody complains: all but the last layer is random. Accuracy .67
    against .93."""
    x, y, xt, yt = sources.digits()
    model = keras.Sequential(
        [
            keras.Input((64,)),
            _Scales(3, not training.broken, name="scales"),
            layers.Dense(10, activation="softmax", name="out"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.003), sources.SPARSE, metrics=["accuracy"]
    )
    training.fit(model, x, y, epochs=8, batch_size=32)
    return sources.accuracy(model, xt, yt)


@fault(
    "stale-trainable",
    cause="`trainable` is set to True without compiling again, which has no "
    "effect on the step that was traced before.",
    layers=["base"],
    source="Zackory/Keras-MNIST-GAN #2",
)
def thawed_without_compiling(training):
    """ "The model.trainable lines do nothing": the second phase of a fine
    tuning trains the head alone. Accuracy .31 against .95."""
    images, labels = data.digits()
    few = labels < 2
    base = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(24, activation="relu", name="base_1"),
            layers.Dense(12, activation="relu", name="base_2"),
        ],
        name="base",
    )
    first = keras.Sequential([base, layers.Dense(1, activation="sigmoid")])
    first.compile(keras.optimizers.Adam(0.005), "binary_crossentropy")
    first.fit(images[few], labels[few], epochs=10, verbose=0)
    x, y, xt, yt = sources.split(images[~few], labels[~few])
    base.trainable = False
    model = keras.Sequential([base, layers.Dense(10, "softmax", name="head")])

    def build():
        model.compile(
            keras.optimizers.Adam(0.003), sources.SPARSE, metrics=["accuracy"]
        )

    build()
    training.fit(model, x, y, epochs=3, batch_size=32)
    base.trainable = True
    if not training.broken:
        build()
    training.fit(model, x, y, epochs=12, batch_size=32)
    return sources.accuracy(model, xt, yt)
