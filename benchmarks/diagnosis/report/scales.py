"""Scales of data and rates; and oddities that do no harm.

Sources, one for each case:
taourl.com 2589871 "NaN loss output when training DNN with Keras" (raw table);
StackOverflow 70650848 (deepmufl: what StandardScaler returns is dropped);
datascience.stackexchange 38604, second fault (pixels from 0 to 255);
stats.stackexchange 409000 "Should we normalize target data as well" (houses
at 250,000 dollars); techfeed.net 470072 "Keras LSTM predicted timeseries
squashed and shifted" (series left raw);
StackOverflow 48934338 (DeepLocalize: SGD(lr=0.1) on a parabola);
StackOverflow 58392266, 70148149 (deepmufl: Adam at 1e-5);
harmless: tensorflow.org's softmax regression (zeros); wide layers with much
dropout (Srivastava 2014); "accuracy" of a regression (StackOverflow
48775305); digits from 0 to 16 under Adam; scikit-learn's iris without a
hidden activation; an auxiliary head that is never trained (tensorflow
#42542).
"""

from __future__ import annotations

import keras
from keras import layers

from benchmarks.diagnosis import data
from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.report import sources


@fault(
    "unscaled-input",
    "exploding-gradient",
    "dead-relu",
    source="taourl.com 2589871",
)
def raw_tumours(training):
    """The breast cancer table as it is, under SGD. Accuracy .62 against
    .97."""
    x, y, xt, yt = sources.cancer(scaled=not training.broken)
    model = keras.Sequential(
        [
            keras.Input((30,)),
            layers.Dense(12, activation="relu", name="fc1"),
            layers.Dense(8, activation="relu", name="fc2"),
            layers.Dense(1, activation="sigmoid", name="out"),
        ]
    )
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    training.fit(model, x, y, epochs=15, batch_size=16)
    return sources.accuracy(model, xt, yt)


@fault(
    "unscaled-input",
    "saturated-activation",
    layers=["hidden"],
    source="StackOverflow 70650848",
)
def raw_wines(training):
    """The wines as they are (one column up to 1680) before sigmoids. Accuracy
    .67 against 1.00."""
    x, y = sources.wine()
    x = x if training.broken else data.standardised(x)
    x, y, xt, yt = sources.split(x, y)
    inputs = keras.Input((13,))
    h = layers.Dense(16, activation="sigmoid", name="hidden")(inputs)
    out = layers.Dense(3, activation="softmax", name="out")(h)
    model = keras.Model(inputs, out)
    model.compile(
        keras.optimizers.Adam(0.01),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(model, x, y, epochs=30, batch_size=16)
    return sources.accuracy(model, xt, yt)


@fault(
    "unscaled-input",
    "dead-relu",
    "exploding-gradient",
    "learning-rate",
    source="datascience.stackexchange 38604",
)
def pixels_to_255(training):
    """Pixels from 0 to 255 go into a small CNN under SGD. Accuracy .10 against
    .95."""
    x, y, xt, yt = sources.digit_images()
    scale = 255 if training.broken else 1
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, activation="relu", name="conv_1"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(64, activation="relu", name="hidden"),
            layers.Dense(10, activation="softmax", name="out"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.02, momentum=0.9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(model, x * scale, y, epochs=7, batch_size=32)
    return sources.accuracy(model, xt * scale, yt)


@fault("unscaled-target", source="stats.stackexchange 409000")
def prices_in_dollars(training):
    """House prices of some 250,000 dollars under Adam's usual rate. R2 -2.89
    against .95."""
    x, y, xt, yt = sources.split(*sources.houses())
    m, s = x.mean(0), x.std(0)
    a, b = (0, 1) if training.broken else (y.mean(), y.std())
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(64, activation="relu", name="fc1"),
            layers.Dense(32, activation="relu", name="fc2"),
            layers.Dense(1, name="price"),
        ]
    )
    model.compile("adam", "mse", metrics=["mae"])
    training.fit(model, (x - m) / s, (y - a) / b, epochs=12, batch_size=32)
    return sources.r2(model, (xt - m) / s, yt, b, a)


@fault(
    "unscaled-target",
    "unscaled-input",
    "saturated-activation",
    source="techfeed.net 470072",
)
def passengers_as_they_are(training):
    """An LSTM reads and forecasts a series of 100 to 700. R2 -5.25 against
    1.00."""
    x, y, xt, yt = sources.split(*sources.passengers())
    a, b = (0, 1) if training.broken else (400, 150)
    model = keras.Sequential(
        [
            keras.Input((12, 1)),
            layers.LSTM(32, name="lstm"),
            layers.Dense(1, name="out"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.005), "mean_squared_error")
    training.fit(model, (x - a) / b, (y - a) / b, epochs=25, batch_size=16)
    return sources.r2(model, (xt - a) / b, yt, b, a)


@fault(
    "learning-rate",
    "update-too-large",
    "loss-diverges",
    "exploding-gradient",
    "non-finite",
    source="StackOverflow 48934338",
)
def parabola_too_hot(training):
    """SGD(0.1) for a regression that bears 0.005. R2 NaN against .51."""
    x, y, xt, yt = sources.split(*data.diabetes())
    a, b = y.mean(), y.std()
    model = keras.Sequential(
        [
            keras.Input((10,)),
            layers.Dense(50, activation="relu", name="fc1"),
            layers.Dense(30, activation="relu", name="fc2"),
            layers.Dense(1, activation="linear", name="out"),
        ]
    )
    rate = 0.3 if training.broken else 0.005
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), "mse")
    training.fit(model, x, (y - a) / b * 3, epochs=15, batch_size=16)
    return sources.r2(model, xt, yt, b / 3, a)


@fault(
    "learning-rate",
    "update-too-small",
    source="StackOverflow 58392266, 70148149",
)
def adam_too_cold(training):
    """Adam at 1e-5 from a fine-tuning recipe, on a network from scratch.
    Accuracy .22 against .93."""
    x, y, xt, yt = sources.digit_images()
    rate = 1e-5 if training.broken else 1e-3
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, activation="relu", name="conv_1"),
            layers.Conv2D(32, 3, activation="relu", name="conv_2"),
            layers.Flatten(),
            layers.Dense(64, activation="relu", name="hidden"),
            layers.Dense(10, activation="softmax", name="out"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(model, x, y, epochs=5, batch_size=32)
    return sources.accuracy(model, xt, yt)


@fault(
    "zero-init",
    layers=["softmax"],
    harmless=True,
    source="tensorflow.org: MNIST for beginners",
)
def zeros_in_one_layer(training):
    """Softmax regression from zeros, as in the first tutorial. Accuracy .94
    against .94."""
    x, y, xt, yt = sources.digits()
    start = "zeros" if training.broken else "glorot_uniform"
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(
                10,
                activation="softmax",
                kernel_initializer=start,
                name="softmax",
            ),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.5),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(model, x, y, epochs=10, batch_size=50)
    return sources.accuracy(model, xt, yt)


@fault(
    "dropout-keep-prob",
    layers=["drop"],
    harmless=True,
    source="Srivastava 2014: wide layers, high rates",
)
def much_dropout_of_many(training):
    """Dropout(0.7) of 1024 units. Accuracy .94 against .94."""
    x, y, xt, yt = sources.digits()
    rate = 0.7 if training.broken else 0.3
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(1024, activation="relu", name="wide"),
            layers.Dropout(rate, name="drop"),
            layers.Dense(10, activation="softmax", name="out"),
        ]
    )
    model.compile(
        "adam", "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    training.fit(model, x, y, epochs=8, batch_size=32)
    return sources.accuracy(model, xt, yt)


@fault(
    "loss-metric-disagree",
    harmless=True,
    source="StackOverflow 48775305",
)
def accuracy_of_a_regression(training):
    """metrics=["accuracy"] of a regression says 0, and it learns well. R2 .97
    against .97."""
    x, y, xt, yt = sources.split(*sources.houses())
    m, s, a, b = x.mean(0), x.std(0), y.mean(), y.std()
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(32, activation="relu", name="fc1"),
            layers.Dense(32, activation="relu", name="fc2"),
            layers.Dense(1, name="price"),
        ]
    )
    metric = "accuracy" if training.broken else "mae"
    model.compile(keras.optimizers.Adam(0.003), "mse", metrics=[metric])
    training.fit(model, (x - m) / s, (y - a) / b, epochs=10, batch_size=32)
    return sources.r2(model, (xt - m) / s, yt, b, a)


@fault(
    "unscaled-input",
    harmless=True,
    source="scikit-learn's digits, 0 to 16",
)
def digits_to_16(training):
    """Pixels from 0 to 16 under Adam. Accuracy .92 against .91."""
    x, y, xt, yt = sources.digits()
    scale = 16 if training.broken else 1
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(64, activation="relu", name="hidden"),
            layers.Dense(10, activation="softmax", name="out"),
        ]
    )
    model.compile(
        "adam", "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    training.fit(model, x * scale, y, epochs=8, batch_size=32)
    return sources.accuracy(model, xt * scale, yt)


@fault(
    "missing-nonlinearity",
    layers=["hidden"],
    harmless=True,
    source="scikit-learn's iris, in many tutorials",
)
def linear_flowers(training):
    """A hidden layer without activation, for classes that are linear. Accuracy
    .97 against .97."""
    x, y, xt, yt = sources.split(*sources.iris())
    act = None if training.broken else "relu"
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(16, activation=act, name="hidden"),
            layers.Dense(3, activation="softmax", name="out"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.01),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(model, x, y, epochs=30, batch_size=16)
    return sources.accuracy(model, xt, yt)


class TwoHeads(keras.Model):
    """A classifier, perhaps with a second head that nobody asks."""

    def __init__(self, spare):
        super().__init__()
        self.body = layers.Dense(64, activation="relu", name="body")
        self.main = layers.Dense(10, activation="softmax", name="main")
        self.spare = layers.Dense(2, name="spare") if spare else None

    def call(self, x):
        h = self.body(x)
        if self.spare is not None:
            self.spare(h)
        return self.main(h)


@fault(
    "disconnected-variable",
    layers=["spare"],
    harmless=True,
    source="tensorflow #42542",
)
def head_nobody_asks(training):
    """A second head is computed and not trained. Accuracy .91 against .91."""
    x, y, xt, yt = sources.digits()
    model = TwoHeads(training.broken)
    model.compile(
        "adam", "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    training.fit(model, x, y, epochs=8, batch_size=32)
    return sources.accuracy(model, xt, yt)
