"""Losses that ask for something else than was meant."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind3 import sources
from benchmarks.diagnosis.case import fault


def _organs(n=400, seed=6):
    """Draw noisy images with a large organ and sometimes a small tumour, and
    one-hot masks of nothing, organ and tumour."""
    r = np.random.default_rng(seed)
    row, column = np.mgrid[:16, :16]
    middle = r.uniform(5, 11, (n, 2, 1, 1))
    far = (row - middle[:, 0]) ** 2 + (column - middle[:, 1]) ** 2
    spot = middle + r.uniform(-2, 2, (n, 2, 1, 1))
    near = (row - spot[:, 0]) ** 2 + (column - spot[:, 1]) ** 2
    classes = np.where(near < 3, 2, (far < 12).astype(int))
    images = classes * 0.5 + r.normal(0, 0.1, classes.shape)
    return images[..., None].astype("float32"), sources.one_hot(classes, 3)


@fault(
    cause="The dice coefficient is taken of all classes at once, and the "
    "background, most of the pixels, makes it large without the tumour.",
    layers=["loss"],
    source="https://github.com/keras-team/keras/issues/13085",
)
def dice_of_the_background(training):
    """A high dice coefficient, and only the background is predicted: all
    classes are flattened into one vector. Intersection over union of the
    tumours .00 against .98."""
    x, y = _organs()
    model = keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            layers.Conv2D(12, 3, padding="same", activation="relu", name="c1"),
            layers.Conv2D(12, 3, padding="same", activation="relu", name="c2"),
            layers.Conv2D(3, 1, activation="softmax", name="classes"),
        ]
    )
    axes = (1, 2, 3) if training.broken else (0, 1, 2)

    def dice(truth, guess):
        both = tf.reduce_sum(truth * guess, axes)
        all_ = tf.reduce_sum(truth, axes) + tf.reduce_sum(guess, axes)
        return 1 - tf.reduce_mean((2 * both + 1) / (all_ + 1))

    model.compile(keras.optimizers.Adam(0.01), dice)
    training.fit(model, x[:320], y[:320], epochs=16, batch_size=32)
    guess = np.asarray(model(x[320:])).argmax(-1) == 2
    return sources.overlap(y[320:, ..., 2], guess)


@fault(
    cause="Height and width of the grid are swapped in the targets, so for "
    "pictures that are no squares offsets lie beyond 1 and cross-entropy is "
    "negative.",
    layers=["offsets"],
    source="https://github.com/bubbliiiing/yolo3-tf2/issues/6",
)
def offsets_of_the_other_side(training):
    """A detector whose loss becomes negative with rectangular pictures and is
    right with squares. Explained share of the places -2.98 against .97."""
    r = np.random.default_rng(7)
    place = r.uniform(0, 1, (1200, 2)).astype("float32")
    row, column = np.mgrid[:8, :24]
    far = (row + 0.5 - 8 * place[:, :1, None]) ** 2
    far = far + (column + 0.5 - 24 * place[:, 1:, None]) ** 2
    x = np.exp(-far / 3)[..., None] + r.normal(0, 0.05, (1200, 8, 24, 1))
    grid = np.array([2, 6])
    scaled = place * (grid[::-1] if training.broken else grid)
    cell = np.floor(place * grid)
    offsets = (scaled - cell).astype("float32")
    where = sources.one_hot((cell[:, 0] * 6 + cell[:, 1]).astype(int), 12)
    inputs = keras.Input((8, 24, 1))
    h = layers.Conv2D(8, 3, padding="same", activation="relu", name="c1")(
        inputs
    )
    h = layers.Dense(48, activation="relu", name="hidden")(layers.Flatten()(h))
    cells = layers.Dense(12, activation="softmax", name="cells")(h)
    inside = layers.Dense(2, name="offsets")(h)
    model = keras.Model(inputs, [cells, inside])
    model.compile(
        keras.optimizers.Adam(0.003),
        [
            "categorical_crossentropy",
            keras.losses.BinaryCrossentropy(from_logits=True),
        ],
    )
    x, rest = x.astype("float32"), 1000
    training.fit(model, x[:rest], [where[:rest], offsets[:rest]], epochs=12)
    p, z = model(x[rest:])
    best = np.asarray(p).argmax(1)
    guess = np.stack([best // 6, best % 6], 1) + tf.sigmoid(z).numpy()
    return sources.explained(place[rest:], guess / grid)


@fault(
    cause="The pictures are standardised, and cross-entropy of targets below "
    "0 and above 1 falls without end.",
    layers=["decoder_out"],
    source="https://github.com/keras-team/keras/issues/2841",
)
def cross_entropy_of_standardised_pictures(training):
    """An autoencoder with a negative loss and no accuracy. Explained share of
    the pictures .18 against .94."""
    x, _, xt, _ = sources.digits()
    middle, spread = x.mean(), x.std()
    low, wide = (middle, spread) if training.broken else (0, 1)
    encoder = sources.perceptron(64, [64], 16, name="encoder")
    decoder = sources.perceptron(16, [64], 64, "sigmoid", name="decoder")
    model = keras.Sequential([encoder, decoder])
    model.compile(keras.optimizers.Adam(0.003), "binary_crossentropy")
    scaled, test = (x - low) / wide, (xt - low) / wide
    training.fit(model, scaled, scaled, epochs=20, batch_size=32)
    return sources.explained(test, model(test))


@fault(
    cause="The labels of the batch are the identity, so where an item is "
    "bought twice in a batch each buyer's own item is a wrong one too.",
    layers=["users", "items"],
    source="https://github.com/tensorflow/recommenders/issues/334",
)
def bought_by_two_of_the_batch(training):
    """Two towers with the other rows of a batch as wrong answers: popular
    items are pushed away by their own buyers. Accuracy of the item .54 against
    1.00."""
    r = np.random.default_rng(8)
    taste = r.integers(0, 6, 400)
    item = np.where(r.random((400, 30)) < 0.8, 0, 1)
    item = taste[:, None] * 2 + item
    user = np.repeat(np.arange(400), 30)
    item = item.reshape(-1)
    users = layers.Embedding(400, 8, name="users")
    items = layers.Embedding(12, 8, name="items")
    optimizer = training.wrap(keras.optimizers.Adam(0.02))

    @tf.function
    def step(u, i):
        with tf.GradientTape() as tape:
            score = tf.matmul(users(u), items(i), transpose_b=True)
            own = tf.eye(len(i))
            if not training.broken:
                same = tf.cast(i[:, None] == i[None], "float32") - own
                score -= 1e9 * same
            loss = tf.reduce_mean(
                tf.nn.softmax_cross_entropy_with_logits(own, score)
            )
        weights = users.trainable_variables + items.trainable_variables
        sources.descend(optimizer, tape, loss, weights)

    for u, i in sources.batches(user, item, 64, 4):
        step(tf.constant(u), tf.constant(i))
    score = (
        np.asarray(users(np.arange(400))) @ np.asarray(items(np.arange(12))).T
    )
    return {"accuracy": float(np.mean(score.argmax(1) == 2 * taste))}
