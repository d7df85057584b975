"""Tells Weights & Biases where event files are.

With `wandb.init(sync_tensorboard=True)`, W&B replaces the writers of TensorFlow
and tensorboardX to learn their directories, and then reads the event files that
appear there. gradscope uses none of these writers.
"""

from __future__ import annotations

import os
import sys
import warnings

from gradscope.errors import GradscopeWarning

#: The run that knows a directory, by its identity.
_announced: set[tuple[int, str]] = set()


def announce(directory: str) -> None:
    """Announce a directory to an active run that syncs TensorBoard's files."""
    wandb = sys.modules.get("wandb")
    run = getattr(wandb, "run", None)
    patched = getattr(wandb, "patched", None) or {}
    if run is None or not patched.get("tensorboard"):
        return
    key = (id(run), directory)
    if key in _announced:
        return
    _announced.add(key)
    try:
        # What W&B's replaced writers call (0.15 to 0.31); there is no public
        # function. The root's name is no part of the metrics' names.
        run._tensorboard_callback(
            os.path.abspath(directory),
            root_logdir=os.path.dirname(os.path.abspath(directory)),
        )
    except Exception as error:
        warnings.warn(
            f"gradscope cannot tell W&B of the event files in {directory}: "
            f"{error!r}. Training and its record go on. Use "
            '`gradscope.Callback(..., mirror="wandb")` instead.',
            GradscopeWarning,
            stacklevel=2,
        )
