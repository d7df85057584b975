"""Well-made networks under `fit`: nothing is to be said of them."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis import data
from benchmarks.diagnosis.case import healthy
from benchmarks.diagnosis.report import sources

_SPARSE = "sparse_categorical_crossentropy"
_OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.1),
    "momentum": lambda: keras.optimizers.SGD(0.02, momentum=0.9),
    "adam": lambda: keras.optimizers.Adam(0.002),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.001),
    "adamw": lambda: keras.optimizers.AdamW(0.002, weight_decay=0.01),
}


@healthy(optimizer=["sgd", "momentum", "adamw"], seed=[0])
@healthy(optimizer=["adam"], seed=[1, 2])
def plain_digits(training):
    """Two ReLU layers for the digits."""
    x, y, xt, yt = sources.digits()
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(32, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    optimizer = _OPTIMIZERS[training.options["optimizer"]]()
    model.compile(optimizer, _SPARSE, metrics=["accuracy"])
    training.fit(model, x, y, epochs=7, batch_size=32)
    return sources.accuracy(model, xt, yt)


@healthy(norm=[False, True], batch_size=[16, 64], seed=[3])
def small_cnn(training):
    """Convolutions with pooling, some with batch norm."""
    x, y, xt, yt = sources.digit_images()
    model = keras.Sequential([keras.Input((8, 8, 1))])
    for filters in (16, 32):
        model.add(layers.Conv2D(filters, 3, padding="same"))
        if training.options["norm"]:
            model.add(layers.BatchNormalization(momentum=0.9))
        model.add(layers.Activation("relu"))
        model.add(layers.MaxPooling2D(2))
    model.add(layers.Flatten())
    model.add(layers.Dropout(0.3))
    model.add(layers.Dense(10))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    size = training.options["batch_size"]
    training.fit(
        model, x, y, epochs=4, batch_size=size, validation_data=(xt, yt)
    )
    return sources.accuracy(model, xt, yt)


@healthy(cell=["lstm", "gru", "bidirectional"], seed=[0])
def reader(training):
    """Embeddings, of which a batch touches few rows, and a recurrent cell."""
    x, y, xt, yt = sources.split(*sources.sentences())
    cell = {
        "lstm": layers.LSTM(24),
        "gru": layers.GRU(24),
        "bidirectional": layers.Bidirectional(layers.LSTM(12)),
    }[training.options["cell"]]
    model = keras.Sequential(
        [
            keras.Input((20,), dtype="int32"),
            layers.Embedding(200, 16),
            cell,
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.005),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(model, x, y, epochs=4, batch_size=32)
    return sources.accuracy(model, xt, yt)


@healthy(pool=["average"], seed=[1])
def bag_of_words(training):
    """Embeddings, pooled over time."""
    x, y, xt, yt = sources.split(*sources.sentences())
    model = keras.Sequential(
        [
            keras.Input((20,), dtype="int32"),
            layers.Embedding(200, 16),
            layers.Conv1D(16, 1, activation="relu"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(16, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.RMSprop(0.003),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(model, x, y, epochs=8, batch_size=32)
    return sources.accuracy(model, xt, yt)


@healthy(seed=[0, 1])
def transformer(training):
    """One block of attention over marked sequences."""
    x, y, xt, yt = sources.split(*sources.marked())
    inputs = keras.Input((10, 2))
    h = layers.Dense(16)(inputs)
    for _ in range(2):
        a = layers.MultiHeadAttention(2, 8)(h, h)
        h = layers.LayerNormalization()(layers.Add()([h, a]))
        f = layers.Dense(32, activation="gelu")(h)
        h = layers.LayerNormalization()(layers.Add()([h, layers.Dense(16)(f)]))
    out = layers.Dense(1)(layers.GlobalAveragePooling1D()(h))
    model = keras.Model(inputs, out)
    model.compile(keras.optimizers.Adam(0.003), "mse")
    training.fit(model, x, y, epochs=8, batch_size=32)
    return sources.r2(model, xt, yt)


@healthy(activation=["relu", "tanh"], seed=[0])
def autoencoder(training):
    """Digits through a code of eight."""
    x, _, xt, _ = sources.digits()
    act = training.options["activation"]
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(32, activation=act),
            layers.Dense(8),
            layers.Dense(32, activation=act),
            layers.Dense(64, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "mse")
    training.fit(model, x, x, epochs=12, batch_size=32)
    error = np.asarray(model(xt)) - xt
    return {"r2": float(1 - np.mean(error**2) / np.mean(xt.var(axis=0)))}


@healthy(scaled=[True, False], seed=[0])
def diabetes(training):
    """A regression of targets from 25 to 346: raw ones need time."""
    x, y = data.diabetes()
    x, y, xt, yt = sources.split(x, y)
    a, b = (y.mean(), y.std()) if training.options["scaled"] else (0, 1)
    model = keras.Sequential(
        [
            keras.Input((10,)),
            layers.Dense(32, activation="relu"),
            layers.Dense(1),
        ]
    )
    rate, epochs = (0.003, 15) if training.options["scaled"] else (0.03, 40)
    model.compile(keras.optimizers.Adam(rate), "mse", metrics=["mae"])
    training.fit(model, x, (y - a) / b, epochs=epochs, batch_size=16)
    return sources.r2(model, xt, yt, b, a)


@healthy(loss=["binary_crossentropy", "hinge", "mse"], seed=[0])
def tumours(training):
    """A binary classifier under three losses."""
    x, y, xt, yt = sources.cancer()
    hinge = training.options["loss"] == "hinge"
    act = "tanh" if hinge else "sigmoid"
    model = keras.Sequential(
        [
            keras.Input((30,)),
            layers.Dense(16, activation="relu"),
            layers.Dense(1, activation=act),
        ]
    )
    model.compile("adam", training.options["loss"])
    labels = 2 * y - 1 if hinge else y
    training.fit(model, x, labels, epochs=15, batch_size=16)
    p = np.asarray(model(xt)) > (0 if hinge else 0.5)
    return {"accuracy": float(np.mean(p == (yt > 0.5)))}


@healthy(depth=[10, 20], seed=[0])
def residual_stack(training):
    """A deep stack of residual blocks, with layer norm."""
    x, y, xt, yt = sources.digits()
    inputs = keras.Input((64,))
    h = layers.Dense(32)(inputs)
    for _ in range(training.options["depth"]):
        f = layers.LayerNormalization()(h)
        f = layers.Dense(32, activation="relu")(f)
        h = layers.Add()([h, layers.Dense(32)(f)])
    h = layers.LayerNormalization()(h)
    model = keras.Model(inputs, layers.Dense(10, activation="softmax")(h))
    model.compile("adam", _SPARSE, metrics=["accuracy"])
    training.fit(model, x, y, epochs=5, batch_size=32)
    return sources.accuracy(model, xt, yt)


@healthy(seed=[0])
def zero_gamma(training):
    """Residual blocks that start as nothing: gamma of the last batch norm is
    zero."""
    x, y, xt, yt = sources.digit_images()
    inputs = keras.Input((8, 8, 1))
    h = layers.Conv2D(16, 3, padding="same", activation="relu")(inputs)
    for _ in range(3):
        f = layers.Conv2D(16, 3, padding="same", use_bias=False)(h)
        f = layers.BatchNormalization(momentum=0.9)(f)
        f = layers.Activation("relu")(f)
        f = layers.Conv2D(16, 3, padding="same", use_bias=False)(f)
        f = layers.BatchNormalization(momentum=0.9, gamma_initializer="zeros")(
            f
        )
        h = layers.Activation("relu")(layers.Add()([h, f]))
    h = layers.GlobalAveragePooling2D()(h)
    model = keras.Model(inputs, layers.Dense(10, activation="softmax")(h))
    model.compile(keras.optimizers.Adam(0.005), _SPARSE, metrics=["accuracy"])
    training.fit(model, x, y, epochs=6, batch_size=32)
    return sources.accuracy(model, xt, yt)


@healthy(optimizer=["sgd", "adam"], seed=[0])
def zero_head(training):
    """The last layer starts at zero."""
    x, y, xt, yt = sources.digits()
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax", kernel_initializer="zeros"),
        ]
    )
    optimizer = _OPTIMIZERS[training.options["optimizer"]]()
    model.compile(optimizer, _SPARSE, metrics=["accuracy"])
    training.fit(model, x, y, epochs=8, batch_size=32)
    return sources.accuracy(model, xt, yt)


@healthy(norm=[False, True], seed=[0])
def fine_tuning(training):
    """A network for the digits 0 to 4, frozen, and a new head for 5 to 9."""
    x, y, xt, yt = sources.digits()
    body = keras.Sequential([keras.Input((64,))])
    body.add(layers.Dense(64, activation="relu"))
    if training.options["norm"]:
        body.add(layers.BatchNormalization(momentum=0.9))
    body.add(layers.Dense(64, activation="relu"))
    first = keras.Sequential([body, layers.Dense(5, activation="softmax")])
    first.compile("adam", _SPARSE)
    first.fit(x[y < 5], y[y < 5], epochs=6, verbose=0)
    body.trainable = False
    inputs = keras.Input((64,))
    h = layers.Dense(32, activation="relu")(body(inputs, training=False))
    out = layers.Dense(5, activation="softmax")(h)
    model = keras.Model(inputs, out)
    model.compile(keras.optimizers.Adam(0.003), _SPARSE, metrics=["accuracy"])
    training.fit(model, x[y > 4], y[y > 4] - 5, epochs=12, batch_size=32)
    return sources.accuracy(model, xt[yt > 4], yt[yt > 4] - 5)


@healthy(seed=[0])
def xor_to_the_end(training):
    """XOR, trained until its loss is as good as zero."""
    x, y = sources.xor()
    model = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(16, activation="tanh"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.03),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(model, x, y, epochs=150, batch_size=20)
    return sources.accuracy(model, x, y)


@healthy(kind=["tanh", "selu"], seed=[0])
def deep_and_smooth(training):
    """Ten layers of smooth activations, started to suit."""
    x, y, xt, yt = sources.digits()
    kind = training.options["kind"]
    start = {"tanh": "glorot_uniform", "selu": "lecun_normal"}.get(kind)
    model = keras.Sequential([keras.Input((64,))])
    for _ in range(8):
        model.add(
            layers.Dense(
                48, activation=kind, kernel_initializer=start or "he_normal"
            )
        )
    model.add(layers.Dense(10, activation="softmax"))
    model.compile("adam", _SPARSE, metrics=["accuracy"])
    training.fit(model, x, y, epochs=6, batch_size=32)
    return sources.accuracy(model, xt, yt)


@healthy(schedule=["cosine", "steps", "warm"], seed=[0])
def scheduled(training):
    """Rates that fall as they should, down to nothing."""
    x, y, xt, yt = sources.digits()
    total = 7 * (len(x) // 32)
    schedules = keras.optimizers.schedules
    rate = {
        "cosine": schedules.CosineDecay(0.1, total),
        "steps": schedules.PiecewiseConstantDecay(
            [total // 2, total * 3 // 4], [0.1, 0.02, 0.004]
        ),
        "warm": schedules.CosineDecay(
            0.0, total - 60, warmup_target=0.1, warmup_steps=60
        ),
    }[training.options["schedule"]]
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(rate, momentum=0.9), _SPARSE, metrics=["accuracy"]
    )
    training.fit(model, x, y, epochs=7, batch_size=32)
    return sources.accuracy(model, xt, yt)


@healthy(seed=[0])
def mixed_precision(training):
    """float16 layers, with the loss scaling of Keras."""
    x, y, xt, yt = sources.digits()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = keras.Sequential(
            [
                keras.Input((64,)),
                layers.Dense(64, activation="relu"),
                layers.Dense(64, activation="relu"),
                layers.Dense(10, activation="softmax", dtype="float32"),
            ]
        )
        model.compile("adam", _SPARSE, metrics=["accuracy"])
        training.fit(model, x, y, epochs=8, batch_size=32)
    finally:
        keras.config.set_dtype_policy("float32")
    return sources.accuracy(model, xt, yt)


@healthy(penalty=["l1", "l2"], seed=[0])
def penalised(training):
    """Penalties of a sensible size."""
    x, y, xt, yt = sources.digits()
    kind = keras.regularizers.L1(1e-4)
    if training.options["penalty"] == "l2":
        kind = keras.regularizers.L2(1e-3)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(64, activation="relu", kernel_regularizer=kind),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax", kernel_regularizer=kind),
        ]
    )
    model.compile("adam", _SPARSE, metrics=["accuracy"])
    training.fit(model, x, y, epochs=8, batch_size=32)
    return sources.accuracy(model, xt, yt)


@healthy(seed=[0])
def counts(training):
    """A Poisson regression with an exponential output."""
    r = np.random.default_rng(0)
    x = r.normal(size=(1500, 5)).astype("float32")
    mean = np.exp(0.5 + 0.6 * x[:, 0] - 0.5 * x[:, 1] * (x[:, 2] > 0))
    y = r.poisson(mean).astype("float32")[:, None]
    model = keras.Sequential(
        [
            keras.Input((5,)),
            layers.Dense(32, activation="relu"),
            layers.Dense(1, activation="exponential"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.005), "poisson")
    training.fit(model, x, y, epochs=10, batch_size=32)
    return sources.r2(model, x, mean)


@healthy(rate=[0.0, 0.2], seed=[0])
def one_hot_words(training):
    """Sparse inputs, and labels of which a fifth may be wrong."""
    x, y = sources.sentences()
    bag = np.zeros((len(x), 200), "float32")
    np.put_along_axis(bag, x, 1, axis=1)
    r = np.random.default_rng(1)
    flip = r.uniform(size=y.shape) < training.options["rate"]
    x, y, xt, yt = sources.split(bag, y)
    labels = np.where(flip[: len(y)], 1 - y, y)
    model = keras.Sequential(
        [
            keras.Input((200,)),
            layers.Dense(16, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    training.fit(model, x, labels, epochs=8, batch_size=32)
    return sources.accuracy(model, xt, yt)


@healthy(seed=[0])
def two_outputs(training):
    """A class and a number, with their weights, from one body."""
    x, y, xt, yt = sources.digits()
    ink, inkt = x.mean(1, keepdims=True) * 5, xt.mean(1, keepdims=True) * 5
    inputs = keras.Input((64,))
    h = layers.Dense(64, activation="relu")(inputs)
    digit = layers.Dense(10, activation="softmax", name="digit")(h)
    amount = layers.Dense(1, name="amount")(h)
    model = keras.Model(inputs, [digit, amount])
    model.compile("adam", [_SPARSE, "mse"], loss_weights=[1.0, 0.5])
    training.fit(model, x, [y, ink], epochs=8, batch_size=32)
    digit, amount = model(xt)
    right = np.mean(np.asarray(digit).argmax(1) == yt)
    error = float(tf.reduce_mean((amount - inkt) ** 2) / inkt.var())
    return {"accuracy": float(right), "r2": 1 - error}
