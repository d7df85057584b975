"""ClearML: a task that logs a fit by itself, offline."""

from clearml import Task
from data import points
from nets import fit_dense

PACKAGE = "clearml"


def train(observe):
    Task.set_offline(True)
    task = Task.init("project", "task")
    try:
        return fit_dense(observe, *points())
    finally:
        task.close()
