"""Healthy networks for images."""

from __future__ import annotations

import keras
import numpy as np

from benchmarks.diagnosis.case import healthy
from benchmarks.diagnosis.data import digit_images, digits

layers = keras.layers
Dense = layers.Dense
CROSSENTROPY = "sparse_categorical_crossentropy"
OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.1),
    "momentum": lambda: keras.optimizers.SGD(0.02, momentum=0.9),
    "nesterov": lambda: keras.optimizers.SGD(0.02, momentum=0.9, nesterov=True),
    "adam": lambda: keras.optimizers.Adam(2e-3),
    "adamw": lambda: keras.optimizers.AdamW(2e-3, weight_decay=1e-2),
    "nadam": lambda: keras.optimizers.Nadam(2e-3),
    "rmsprop": lambda: keras.optimizers.RMSprop(1e-3),
    "adagrad": lambda: keras.optimizers.Adagrad(0.05),
    "lion": lambda: keras.optimizers.Lion(1e-3),
}


def compiled(model, optimizer="adam", **options):
    """Return the model, ready to tell ten digits apart."""
    model.compile(
        OPTIMIZERS[optimizer](), CROSSENTROPY, metrics=["accuracy"], **options
    )
    return model


@healthy(optimizer=["momentum", "adam", "lion"], seed=[0])
def plain_cnn(training):
    """Two convolutions and a dense layer."""
    model = keras.Sequential(
        [
            keras.Input([8, 8, 1]),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Flatten(),
            Dense(10, "softmax"),
        ]
    )
    compiled(model, training.options["optimizer"])
    x, y = digit_images()
    return training.fit(
        model,
        x[:1500],
        y[:1500],
        epochs=8,
        batch_size=32,
        validation_data=(x[1500:], y[1500:]),
    )


@healthy(batch_size=[32, 128], seed=[1])
def normalised_cnn(training):
    """Convolutions without biases, batch norm behind each."""
    model = keras.Sequential([keras.Input([8, 8, 1])])
    for filters in (16, 32):
        model.add(layers.Conv2D(filters, 3, padding="same", use_bias=False))
        model.add(layers.BatchNormalization(momentum=0.9))
        model.add(layers.ReLU())
        model.add(layers.MaxPooling2D())
    model.add(layers.GlobalAveragePooling2D())
    model.add(Dense(10, "softmax"))
    model.compile(
        keras.optimizers.Adam(5e-3), CROSSENTROPY, metrics=["accuracy"]
    )
    x, y = digit_images()
    size = training.options["batch_size"]
    return training.fit(
        model,
        x[:1500],
        y[:1500],
        epochs=8,
        batch_size=size,
        validation_data=(x[1500:], y[1500:]),
    )


@healthy(optimizer=["momentum"])
def zero_gamma_resnet(training):
    """Residual blocks whose last gamma starts at zero."""
    image = keras.Input([8, 8, 1])
    h = layers.Conv2D(16, 3, padding="same", activation="relu")(image)
    for _ in range(3):
        inner = layers.Conv2D(16, 3, padding="same", use_bias=False)(h)
        inner = layers.BatchNormalization(momentum=0.9)(inner)
        inner = layers.ReLU()(inner)
        inner = layers.Conv2D(16, 3, padding="same", use_bias=False)(inner)
        inner = layers.BatchNormalization(
            momentum=0.9, gamma_initializer="zeros"
        )(inner)
        h = layers.ReLU()(h + inner)
    h = layers.GlobalAveragePooling2D()(h)
    model = keras.Model(image, Dense(10, "softmax")(h))
    compiled(model, training.options["optimizer"])
    return training.fit(model, *digit_images(), epochs=6, batch_size=32)


@healthy(optimizer=["adam"])
def residual_of_20(training):
    """20 residual blocks, each with a layer norm in front."""
    x = keras.Input([64])
    h = Dense(48)(x)
    for _ in range(20):
        inner = layers.LayerNormalization()(h)
        h = h + Dense(48, "relu")(inner)
    h = layers.LayerNormalization()(h)
    model = keras.Model(x, Dense(10, "softmax")(h))
    optimizer = training.options["optimizer"]
    compiled(model, optimizer).optimizer.learning_rate = 5e-4
    return training.fit(model, *digits(), epochs=4, batch_size=32)


@healthy(depth=[3, 10], optimizer=["sgd", "nadam"], seed=[0])
def mlp(training):
    """Plain layers with ReLU."""
    depth = training.options["depth"]
    hidden = [
        Dense(64, "relu", kernel_initializer="he_normal") for _ in range(depth)
    ]
    model = keras.Sequential([keras.Input([64]), *hidden, Dense(10, "softmax")])
    compiled(model, training.options["optimizer"])
    if depth == 10:
        rate = model.optimizer.learning_rate
        model.optimizer.learning_rate = float(rate) / 2
    epochs = 8 if depth == 3 else 14
    return training.fit(model, *digits(), epochs=epochs, batch_size=32)


@healthy(activation=["gelu", "silu", "elu", "tanh"])
def other_functions(training):
    """The same with other functions."""
    function = training.options["activation"]
    hidden = [Dense(64, function) for _ in range(3)]
    model = compiled(
        keras.Sequential([keras.Input([64]), *hidden, Dense(10, "softmax")])
    )
    return training.fit(model, *digits(), epochs=8, batch_size=32)


@healthy(optimizer=["rmsprop", "adagrad"])
def bytes_behind_rescaling(training):
    """Images of 0 to 255 behind a `Rescaling` layer."""
    x, y = digit_images()
    model = keras.Sequential(
        [
            keras.Input([8, 8, 1]),
            layers.Rescaling(1 / 255),
            layers.Conv2D(16, 3, activation="relu"),
            layers.Flatten(),
            Dense(64, "relu"),
            Dense(10, "softmax"),
        ]
    )
    compiled(model, training.options["optimizer"])
    return training.fit(model, 255 * x, y, epochs=8, batch_size=32)


@healthy(rate=[0.5], seed=[0, 1])
def usual_dropout(training):
    """Dropout of usual size behind two wide layers."""
    rate = training.options["rate"]
    model = compiled(
        keras.Sequential(
            [
                keras.Input([64]),
                Dense(256, "relu"),
                layers.Dropout(rate),
                Dense(256, "relu"),
                layers.Dropout(rate),
                Dense(10, "softmax"),
            ]
        )
    )
    return training.fit(
        model, *digits(), epochs=8, batch_size=64, validation_split=0.2
    )


@healthy(seed=[2])
def zero_head(training):
    """The last layer starts at zero, as is usual in some programs."""
    model = compiled(
        keras.Sequential(
            [
                keras.Input([8, 8, 1]),
                layers.Conv2D(16, 3, activation="relu"),
                layers.Flatten(),
                Dense(64, "relu"),
                Dense(10, "softmax", kernel_initializer="zeros"),
            ]
        ),
        "momentum",
    )
    return training.fit(model, *digit_images(), epochs=6, batch_size=32)


@healthy(optimizer=["adam"])
def converged(training):
    """150 images are learnt by heart, and training goes on and on."""
    x, y = digits()
    model = keras.Sequential(
        [keras.Input([64]), Dense(128, "relu"), Dense(10, "softmax")]
    )
    compiled(model, training.options["optimizer"])
    model.optimizer.learning_rate = 1e-2
    x, y = np.tile(x[:150], [25, 1]), np.tile(y[:150], 25)
    return training.fit(model, x, y, epochs=10, batch_size=32)


@healthy(optimizer=["momentum"])
def linear_bottleneck(training):
    """An autoencoder whose code has no function of its own."""
    x, _ = digits()
    model = keras.Sequential(
        [
            keras.Input([64]),
            Dense(48, "relu"),
            Dense(12, name="code"),
            Dense(48, "relu"),
            Dense(64, "sigmoid"),
        ]
    )
    rate = 0.5 if training.options["optimizer"] == "momentum" else 2e-3
    optimizer = OPTIMIZERS[training.options["optimizer"]]()
    optimizer.learning_rate = rate
    model.compile(optimizer, "mse")
    return training.fit(model, x, x, epochs=12, batch_size=32)


@healthy(seed=[0])
def siamese(training):
    """One encoder for two images: are they the same digit?"""
    x, y = digits()
    random = np.random.default_rng(0)
    other = random.integers(0, len(x), len(x))
    for i in np.flatnonzero(random.random(len(x)) < 0.5):
        other[i] = random.choice(np.flatnonzero(y == y[i]))
    same = (y == y[other]).astype("float32")
    encoder = keras.Sequential([Dense(64, "relu"), Dense(16)])
    pair = [keras.Input([64]), keras.Input([64])]
    difference = keras.ops.abs(encoder(pair[0]) - encoder(pair[1]))
    model = keras.Model(pair, Dense(1, "sigmoid")(difference))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return training.fit(model, [x, x[other]], same, epochs=15, batch_size=32)


@healthy(norm=[False, True])
def fine_tuning(training):
    """A body that knows five digits, frozen, gets a head for the others."""
    x, y = digit_images()
    body = keras.Sequential([keras.Input([8, 8, 1])])
    body.add(layers.Conv2D(32, 3, activation="relu"))
    if training.options["norm"]:
        body.add(layers.BatchNormalization(momentum=0.9))
    body.add(layers.Flatten())
    body.add(Dense(64, "relu"))
    model = compiled(keras.Sequential([body, Dense(5, "softmax")]))
    low = y < 5
    model.fit(x[low], y[low], epochs=5, batch_size=32, verbose=0)
    body.trainable = False
    model = compiled(keras.Sequential([body, Dense(5, "softmax")]))
    model.optimizer.learning_rate = 1e-2
    return training.fit(model, x[~low], y[~low] - 5, epochs=12, batch_size=16)


@healthy(seed=[0])
def smoothed_labels(training):
    """Label smoothing: the loss has a floor far from zero."""
    x, y = digits()
    model = keras.Sequential(
        [keras.Input([64]), Dense(128, "relu"), Dense(10, "softmax")]
    )
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
    model.compile("adam", loss, metrics=["accuracy"])
    return training.fit(model, x, np.eye(10)[y], epochs=10, batch_size=32)


@healthy(optimizer=["adamw", "momentum"])
def usual_penalties(training):
    """Weight decay, and L2 of usual size."""
    l2 = keras.regularizers.L2(5e-4)
    conv = dict(activation="relu", kernel_regularizer=l2)
    model = keras.Sequential(
        [
            keras.Input([8, 8, 1]),
            layers.Conv2D(16, 3, **conv),
            layers.Conv2D(16, 3, **conv),
            layers.Flatten(),
            Dense(10, "softmax", kernel_regularizer=l2),
        ]
    )
    compiled(model, training.options["optimizer"])
    return training.fit(model, *digit_images(), epochs=6, batch_size=32)
