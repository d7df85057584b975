"""Writes a run of tensorboardX beside the others.

python readers/write_tensorboardx.py LOGDIR
"""

import os
import sys

import numpy as np
from tensorboardX import SummaryWriter

with SummaryWriter(os.path.join(sys.argv[1], "tensorboardx")) as writer:
    weights = np.random.default_rng(0).normal(size=100)
    for step in range(20):
        writer.add_scalar("loss", 1 / (step + 1), step)
        writer.add_histogram("weights", weights / (step + 1), step)
    writer.add_text("note", "a `dense_11`", 0)
