"""Recurrent layers that read the wrong steps.

Sources, one for each case:
sherjilozair/ctc #1 (a reshape for a transposition);
keras-team/keras #1820 (a state carried over shuffled batches).
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.report import sources


@fault(
    "nothing-learned",
    cause="the array [feature, time] is reshaped to [time, feature] where it "
    "should be transposed, which mixes times and features",
    source="sherjilozair/ctc #1",
)
def reshaped_and_not_transposed(training):
    """As posted: "The reshape works fine when the batch size is 1, but may
    cause problems": [feature, time] is reshaped to [time, feature], so a step
    is four values of one sensor. Accuracy .51 against 1.00."""
    r = np.random.default_rng(0)
    n, times = 1200, 32
    x = r.normal(0, 0.5, (n, 4, times))
    peaks = np.stack([r.permutation(times)[:2] for _ in range(n)])
    for sensor in range(2):
        x[np.arange(n), sensor, peaks[:, sensor]] += 4
    first = (peaks[:, 0] < peaks[:, 1]).astype("float32")[:, None]
    x, y, xt, yt = sources.split(x.astype("float32"), first)

    def ordered(a):
        if training.broken:
            return a.reshape(len(a), times, 4)
        return a.transpose(0, 2, 1)

    model = keras.Sequential(
        [
            keras.Input((times, 4)),
            layers.GRU(24, name="gru"),
            layers.Dense(1, activation="sigmoid", name="out"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    training.fit(model, ordered(x), y, epochs=15, batch_size=32)
    return sources.accuracy(model, ordered(xt), yt)


def pieces(n=512, batch=32, parts=3, size=6):
    """Returns pieces of long sequences, in the order that a stateful layer
    wants, and what was marked in each sequence's first piece."""
    r = np.random.default_rng(0)
    key = r.integers(0, 2, n)
    x = r.normal(0, 0.3, (n, parts, size, 1))
    x[:, 0, 0, 0] = key * 4 - 2
    x = x.reshape(n // batch, batch, parts, size, 1).swapaxes(1, 2)
    y = np.repeat(key.reshape(n // batch, 1, batch), parts, 1)
    return x.reshape(-1, size, 1).astype("float32"), y.reshape(-1)


class Forget(keras.callbacks.Callback):
    """Resets the state after each third batch."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def on_train_batch_end(self, batch, logs=None):
        if batch % 3 == 2:
            self.layer.reset_states()


@fault(
    "shuffled-state",
    cause="a stateful layer carries its state from batch to batch and `fit` "
    "shuffles, so the state is that of other sequences",
    layers=["memory"],
    source="keras-team/keras #1820",
)
def state_of_another_sequence(training):
    """As posted: "`shuffle=False` is missing in call to fit()": "the final
    states from the previous batch will have nothing to do with the current
    batch". Accuracy .74 against 1.00."""
    x, y = pieces()
    memory = layers.LSTM(16, stateful=True, name="memory")
    model = keras.Sequential(
        [
            keras.Input(batch_shape=(32, 6, 1)),
            memory,
            layers.Dense(1, activation="sigmoid", name="out"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    training.fit(
        model,
        x,
        y.astype("float32")[:, None],
        epochs=20,
        batch_size=32,
        shuffle=training.broken,
        callbacks=[Forget(memory)],
    )
    right = []
    for i in range(0, len(x), 32):
        if i % 96 == 0:
            memory.reset_states()
        guess = model(x[i : i + 32], training=False).numpy()[:, 0] > 0.5
        right.append(guess == y[i : i + 32])
    return {"accuracy": float(np.mean(right))}
