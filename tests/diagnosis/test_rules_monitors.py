"""What must hold of callbacks that watch a number of each epoch."""

import dataclasses

import numpy as np
from classifiers import classifier, epochs, run

import gradscope
from gradscope.format.schema import Wiring


def kinds(record):
    return [(f.kind, f.severity) for f in gradscope.diagnose(record)]


def watched(callback, detail, **logs):
    schema = dataclasses.replace(
        classifier(), wiring=(Wiring("monitor", callback, detail),)
    )
    return run(schema, logs=epochs(**logs))


FALL = np.linspace(1.0, 0.1, 12)
RISE = list(np.linspace(0.2, 0.9, 12))


def test_a_score_that_is_to_fall():
    detail = "min 0.0001 1 0 alone val_f1"
    logs = {"loss": FALL, "val_f1": RISE}
    (found,) = gradscope.diagnose(watched("ReduceLROnPlateau", detail, **logs))
    assert (found.kind, found.severity) == ("wrong-monitor", "warning")
    assert "it takes a lower value for a better one" in found.what
    assert "lowers the learning rate" in found.cause
    right = watched("ReduceLROnPlateau", "max 0 1 0 alone val_f1", **logs)
    assert kinds(right) == []
    # Nobody can tell which way a gain goes, or what a mode becomes.
    gain = watched(
        "EarlyStopping", "min 0 1 0 alone gain", loss=FALL, gain=RISE
    )
    assert kinds(gain) == []
    unknown = watched("EarlyStopping", "auto 0 1 0 alone val_f1", **logs)
    assert kinds(unknown) == []
    # A patience beyond the training's end has no effect.
    patient = watched("EarlyStopping", "min 0 50 0 alone val_f1", **logs)
    assert kinds(patient) == []


def test_the_best_of_a_score_is_saved_where_it_is_lowest():
    detail = "min 0 0 0 others val_accuracy"
    logs = {"loss": FALL, "val_accuracy": RISE}
    (found,) = gradscope.diagnose(watched("ModelCheckpoint", detail, **logs))
    assert "keeps the weights of the worst epoch" in found.cause


def test_a_number_that_nobody_logs():
    detail = "max 0 3 0 alone val_acc"
    (found,) = gradscope.diagnose(watched("EarlyStopping", detail, loss=FALL))
    assert found.kind == "wrong-monitor"
    assert "which `fit` logs in no epoch" in found.what
    assert "`loss`" in found.cause and "`val_`" in found.cause
    # A callback of the user's may log it after gradscope's was called.
    others = watched("EarlyStopping", "auto 0 3 0 others val_acc", loss=FALL)
    assert kinds(others) == []


def test_progress_that_is_smaller_than_its_least_change():
    detail = "min 0.3 1 0 alone loss"
    (found,) = gradscope.diagnose(
        watched("ReduceLROnPlateau", detail, loss=FALL)
    )
    assert found.kind == "wrong-monitor"
    assert "new least value in an epoch" in found.what
    assert found.evidence["times"] == 9  # four falls make .3, and three wait
    assert "min_delta=8e-04" in found.remedy
    fine = watched("ReduceLROnPlateau", "min 0.0001 1 0 alone loss", loss=FALL)
    assert kinds(fine) == []
    # To stop where an epoch gains next to nothing is what one asks for.
    slow = 0.5 + 0.5 ** np.arange(12)
    meant = watched("EarlyStopping", "min 0.01 3 0 alone loss", loss=slow)
    assert kinds(meant) == []


def test_a_stop_while_a_small_loss_halves():
    halves = 0.01 * 0.7 ** np.arange(6)
    detail = "min 0.01 5 0 alone loss"
    (found,) = gradscope.diagnose(watched("EarlyStopping", detail, loss=halves))
    assert "ends the training although `loss`" in found.what
    assert "each of 5 epochs in a row" in found.what
    longer = 0.01 * 0.7 ** np.arange(9)
    assert kinds(watched("EarlyStopping", detail, loss=longer)) == []
