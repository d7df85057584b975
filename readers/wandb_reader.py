"""What W&B, offline, gets of `sync_tensorboard=True` and of the mirror."""

import glob
import os
import tempfile
import time

os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true"}
os.chdir(tempfile.mkdtemp())

import wandb  # noqa: E402
from trained import fit  # noqa: E402


def logged():
    """Return the bytes of the last run's file."""
    wandb.teardown()  # the file is not complete before
    files = glob.glob("wandb/offline-run*/run-*.wandb")
    with open(max(files, key=os.path.getmtime), "rb") as file:
        return file.read()


with wandb.init(project="gradscope", sync_tensorboard=True):
    fit("logs/synced")
    time.sleep(8)  # in which W&B reads the files
data = logged()
for tag in ("gradscope/gradient_norm", "gradients/dense_10/kernel"):
    count = data.count(tag.encode())
    print(("synced " if count else "without ") + tag, count)
print("texts", data.count(b"gradscope/logs"), data.count(b"gradscope/schema"))

with wandb.init(project="gradscope"):
    fit("logs/mirrored", "wandb")
data = logged()
for name in (
    *(f"gradscope/{name}" for name in ("gradient_norm", "errors", "findings")),
    "report.html",
):
    if name.encode() in data:
        print(f"mirrored {name}")
