"""Synthetic runs as `fit` records them: with losses, rates and epochs."""

from __future__ import annotations

import numpy as np
import runs

from gradscope.format.epoch_logs import Log
from gradscope.recording import event_writer

#: Steps of an epoch.
EPOCH = 40


def trained(logdir, name="trained", steps=400, nan_at=None, scaled=False):
    """Writes a run whose loss falls and whose learning rate does, too.

    Args:
        logdir: TensorBoard's log directory.
        name: Name of the run, without `/gradscope`.
        steps: How many steps are made; recorded are the first 50 and each
            tenth.
        nan_at: The step from which the loss is NaN, if any; the gradients are
            a step earlier.
        scaled: Whether there is a loss scale, which skips three steps.
    """
    described = runs.network(4)
    recorded = runs.dense_then_sparse(steps)
    gradients = runs.noisy(recorded, 8, 0.5)
    if nan_at is not None:
        gradients[recorded >= nan_at - 1] = np.nan
    whole = _whole(recorded, gradients, nan_at)
    if scaled:
        whole["loss_scale"] = np.where(recorded < 60, 65536.0, 16384.0)
        whole["skipped"] = np.where(recorded < 60, 0, 3)

    def panels(step):
        if step == 0 or step % EPOCH:
            return []
        values = {"loss": loss(step), "val_loss": 1.2 * loss(step)}
        values |= {
            f"{which}accuracy": 1 - values[f"{which}loss"] / 4
            for which in ("", "val_")
        }
        log = Log(step, step // EPOCH - 1, values)
        return [event_writer.logs_value(described.id, log)]

    runs.write(
        logdir,
        name,
        described,
        recorded,
        runs.statistics(gradients),
        whole=whole,
        panels=panels,
    )


def loss(step):
    """Returns the loss at a step, as `trained` writes it."""
    return 2.5 * np.exp(-np.asarray(step) / 150)


def _whole(recorded, gradients, nan_at):
    losses = loss(recorded)
    if nan_at is not None:
        losses[recorded >= nan_at] = np.nan
    return {
        "loss": losses,
        "learning_rate": 0.1 * 0.5 ** (recorded // 100),
        "global_gradient_norm": np.sqrt((gradients**2).sum(axis=1)),
    }
