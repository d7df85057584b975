"""W&B: its Keras callbacks, offline."""

import wandb
from data import points
from nets import fit_dense
from wandb.integration.keras import WandbMetricsLogger, WandbModelCheckpoint

PACKAGE = "wandb"


def train(observe):
    with wandb.init(project="digits", mode="offline"):
        looking = [
            WandbMetricsLogger(log_freq=2),
            WandbModelCheckpoint("models.keras", monitor="loss"),
        ]
        return fit_dense(observe, *points(), looking)
