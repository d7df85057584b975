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

#: The directories that a run knows, by the run's identity.
_announced: dict[int, list[str]] = {}


def announce(directory: str) -> None:
    """Announce a directory to an active run that syncs TensorBoard's files."""
    wandb = sys.modules.get("wandb")
    run = getattr(wandb, "run", None)
    patched = getattr(wandb, "patched", None) or {}
    if run is None or not patched.get("tensorboard"):
        return
    directory = os.path.abspath(directory)
    announced = _announced.setdefault(id(run), [])
    if directory in announced:
        return
    announced.append(directory)
    # Names of metrics begin with the path below the root: that of the first
    # directory has none, so that they are called as in TensorBoard.
    first = announced[0]
    root = first if directory == first else os.path.dirname(first)
    if not directory.startswith(root):
        root = os.path.dirname(root)
    try:
        # What W&B's replaced writers call; there is no public function.
        run._tensorboard_callback(directory, root_logdir=root)
    except Exception as error:
        warnings.warn(
            f"gradscope cannot tell W&B of the event files in {directory}: "
            f"{error!r}. Training and its record go on. Use "
            '`gradscope.Callback(..., mirror="wandb")` instead.',
            GradscopeWarning,
            stacklevel=2,
        )
