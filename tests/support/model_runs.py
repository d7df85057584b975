"""Records of models whose last layer, loss or inputs have a fault."""

import numpy as np
from synthetic import network

import gradscope
from gradscope.format.schema import (
    Data,
)

STUCK = np.full(100, 2.3)

MSE = {"loss": {"class": "MeanSquaredError", "config": {}}}


def kinds(run, **options):
    return [(f.kind, f.layer) for f in gradscope.diagnose(run, **options)]


def severities(run):
    return [(f.kind, f.severity) for f in gradscope.diagnose(run)]


def inputs(dtype="float32", **more):
    rows = (Data("input", dtype), Data("output"), Data("target"))
    return network(data=rows, model=MSE, **more)
