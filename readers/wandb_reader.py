"""What W&B, offline, gets of `sync_tensorboard=True` and of the mirror."""

import glob
import os
import shutil
import socket
import sys
import tempfile
import time

os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true"}
os.chdir(tempfile.mkdtemp())

import wandb  # noqa: E402

from gradscope.mirroring import Mirrors  # noqa: E402
from gradscope.recording import wandb_sync  # noqa: E402


def logged():
    """Return the bytes of the last run's file."""
    wandb.teardown()  # the file is not complete before
    files = glob.glob("wandb/offline-run*/run-*.wandb")
    with open(max(files, key=os.path.getmtime), "rb") as file:
        return file.read()


with wandb.init(project="gradscope", sync_tensorboard=True):
    directory = os.path.abspath("logs/run/gradscope")
    os.makedirs(directory)
    wandb_sync.announce(directory)
    (source,) = glob.glob(f"{sys.argv[1]}/good/gradscope/*")
    # W&B takes only files of this machine that are younger than the run.
    name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.1.0"
    shutil.copy(source, os.path.join(directory, name))
    time.sleep(8)
data = logged()
for tag in ("gradscope/gradient_norm", "gradients/dense_10/kernel"):
    count = data.count(tag.encode())
    print(("synced " if count else "without ") + tag, count)
print("texts", data.count(b"gradscope/logs"), data.count(b"gradscope/schema"))

with wandb.init(project="gradscope"):
    mirrors = Mirrors("wandb")
    mirrors.log_scalars([(3, {"gradscope/gradient_norm": 1.5})])
    mirrors.log_findings(9, "a `dense_11` <b>", {"gradscope/errors": 1.0})
    mirrors.log_report("<p>a</p>")
data = logged()
for tag in ("gradient_norm", "errors", "findings"):
    if f"gradscope/{tag}".encode() in data:
        print(f"mirrored gradscope/{tag}")
print("report.html of an artifact", b"report.html" in data)
