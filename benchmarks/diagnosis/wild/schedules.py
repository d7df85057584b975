"""Schedules and callbacks.

Sources, one for each case:
keras-team/keras #9655 (the rate times `decay`);
kiudee/cs-ranking #58 (a step schedule that steps each epoch);
PaulRitsche/DeepACSA #36 (`min_lr` is the rate itself);
FunctionLab/selene #115 (a plateau looked for in the wrong direction);
google/automl #883 (the average put in place of the weights).
"""

from __future__ import annotations

import keras
from keras import callbacks, optimizers

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.report import sources
from benchmarks.diagnosis.wild import tools


def classified(training, optimizer, epochs, chosen, batch=32, units=(64,)):
    """Trains on the digits with a callback, and returns the measures."""
    x, y, xt, yt = sources.digits()
    model = tools.perceptron(64, units, 10)
    model.compile(
        optimizer,
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    training.fit(
        model,
        x,
        y,
        epochs=epochs,
        batch_size=batch,
        validation_split=0.2,
        callbacks=chosen,
    )
    return tools.shares(model, xt, yt)


@fault(
    "learning-rate",
    cause="the callback multiplies the rate by the decay of 0.001, a term of "
    "another formula, so it is a thousandth after each epoch",
    source="keras-team/keras #9655",
)
def rate_times_decay(training):
    """As posted: "lr_with_decay = lr * decay" at the end of each epoch, with
    the optimizer's decay of 0.001: training stands still after the first
    epoch. Accuracy .61 against .93, loss 1.69 against .24."""

    class Modify(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            decay = 0.001
            rate = float(self.model.optimizer.learning_rate)
            if training.broken:
                rate = rate * decay
            else:
                rate = 0.01 / (1 + decay * 45 * (epoch + 1))
            self.model.optimizer.learning_rate = rate

    optimizer = optimizers.SGD(0.01, momentum=0.9)
    return classified(training, optimizer, 20, [Modify()])


@fault(
    "learning-rate",
    cause="the schedule multiplies the present rate by drop ** (epoch // 2), "
    "a factor that was meant for the first rate",
    source="kiudee/cs-ranking #58",
)
def compounded_drops(training):
    """As posted: "It exponentially decreases the learning rate at each epoch
    after the epoch_drop": the factor for the first rate is applied to the
    present one. Accuracy .79 against .91, loss 1.12 against .45."""

    def drop(epoch, rate):
        first = rate if training.broken else 0.03
        return float(first * 0.9 ** (epoch // 2))

    scheduled = callbacks.LearningRateScheduler(drop)
    optimizer = optimizers.SGD(0.03)
    return classified(training, optimizer, 40, [scheduled])


@fault(
    "learning-rate",
    cause="the lower bound of ReduceLROnPlateau is the rate that training "
    "starts with, so the rate is never reduced",
    source="PaulRitsche/DeepACSA #36",
)
def bound_at_the_start(training):
    """As posted: "It won't reduce at all since the lower bound is reached from
    the start": `min_lr` is given the initial rate. Accuracy .92 against .94,
    loss .47 against .24."""
    least = 0.03 if training.broken else 1e-4
    plateau = callbacks.ReduceLROnPlateau(
        "val_loss", factor=0.2, patience=2, min_lr=least
    )
    optimizer = optimizers.Adam(0.03)
    return classified(training, optimizer, 25, [plateau], 8, (64, 64))


@fault(
    "wrong-monitor",
    "learning-rate",
    cause="ReduceLROnPlateau watches an accuracy with mode='min', so each "
    "epoch that improves counts as one without improvement",
    source="FunctionLab/selene #115",
)
def plateau_upside_down(training):
    """As posted: "The scheduler used to track AUROC, but the mode was not
    switched": ReduceLROnPlateau looks for a minimum of an accuracy, so the
    rate falls while all goes well. Accuracy .40 against .86, loss 2.03 against
    .72."""
    mode = "min" if training.broken else "max"
    plateau = callbacks.ReduceLROnPlateau(
        "val_accuracy", mode=mode, factor=0.1, patience=1, min_delta=0.0
    )
    optimizer = optimizers.SGD(0.02)
    return classified(training, optimizer, 25, [plateau])


class Average(callbacks.Callback):
    """Averages the weights, and assigns them after each epoch or at the
    end."""

    def __init__(self, decay, each):
        super().__init__()
        self.decay, self.each = decay, each

    def on_train_begin(self, logs=None):
        self.average = self.model.get_weights()

    def on_train_batch_end(self, batch, logs=None):
        pairs = zip(self.average, self.model.get_weights(), strict=True)
        d = self.decay
        self.average = [d * a + (1 - d) * w for a, w in pairs]

    def on_epoch_end(self, epoch, logs=None):
        if self.each:
            self.model.set_weights(self.average)

    def on_train_end(self, logs=None):
        if not self.each:
            self.model.set_weights(self.average)


@fault(
    "weights-changed",
    "nothing-learned",
    cause="the callback of the average puts it into the network after each "
    "epoch, so training starts each time from next to where it began",
    source="google/automl #883",
)
def average_in_place(training):
    """As posted: "Fix performance issue by set update_weights to False" in the
    checkpoint of averaged weights: the average is put in place of the weights
    after each epoch. Accuracy .73 against .93, loss 1.41 against .26."""
    average = Average(0.995, each=training.broken)
    optimizer = optimizers.SGD(0.05)
    return classified(training, optimizer, 30, [average])
