"""The loss is finite and flat, and the network says the same of everybody.

The question (in many forms): a network of 30-32-16-1 units is to tell benign
tumours from malignant ones. From the first epoch on its loss stays at .67, its
accuracy is the share of the larger class, and `predict` has one and the same
number for every patient. Nothing is NaN, other learning rates do not help, and
a friend's computer, which has a GPU, says `loss: nan`. What is it?

What one sees: one of the 13,650 measurements is missing, and pandas' `mean` and
`std`, which the columns were standardised with, pass over it. `non-finite` in
`first` names the input and the step: from then on a row of the first kernel is
NaN, which each of its units reads. On a CPU, a `Dense` layer and its ReLU are
one operation that turns NaN into 0, so that the units fall silent, and the loss
stays finite. `broken_elu` is the same program with another activation, whose
loss is NaN. `repaired` fills in the column's mean.

What it teaches: a finite loss does not prove that all is finite. Look for
missing values (`np.isnan(x).any(axis=0)`) before you train.
"""

import keras
import numpy as np
from gradscope_examples import data, running

import gradscope

#: Patient and measurement of the missing entry.
PATIENT, COLUMN = 100, 4


def examples(is_repaired):
    """Returns the tumours, standardised, with one measurement missing."""
    x, y, test_x, test_y = data.tumours()
    x[PATIENT, COLUMN] = np.nan
    # As pandas' `mean` and `std` are, which leave out what is missing.
    mean, deviation = np.nanmean(x, axis=0), np.nanstd(x, axis=0)
    x, test_x = (x - mean) / deviation, (test_x - mean) / deviation
    if is_repaired:
        x = np.where(np.isnan(x), 0, x)  # the mean of a standardised column
    return x, y, test_x, test_y


def train(options, activation="relu", is_repaired=False):
    x, y, test_x, test_y = examples(is_repaired)
    model = keras.Sequential(
        [
            keras.Input([30]),
            keras.layers.Dense(32, activation, name="first"),
            keras.layers.Dense(16, activation, name="second"),
            keras.layers.Dense(1, name="last"),
        ]
    )
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    history = model.fit(
        x,
        y,
        batch_size=32,
        epochs=20,
        verbose=0,
        callbacks=[gradscope.Callback(options.logdir, findings=False)],
    )
    predictions = model.predict(test_x, verbose=0)
    return {
        "loss": history.history["loss"][-1],
        "accuracy": np.mean((predictions[:, 0] > 0) == test_y),
        "spread of predictions": np.std(predictions),
    }


VARIANTS = {
    "broken": train,
    "broken_elu": lambda o: train(o, activation="elu"),
    "repaired": lambda o: train(o, is_repaired=True),
}

if __name__ == "__main__":
    running.main(__file__, __doc__, VARIANTS)
