"""Comet: an offline experiment that logs a fit by itself."""

import comet_ml
from data import points
from nets import fit_dense

PACKAGE = "comet-ml"


def train(observe):
    experiment = comet_ml.OfflineExperiment(
        project_name="project", offline_directory="."
    )
    try:
        return fit_dense(observe, *points())
    finally:
        experiment.end()
