"""livelossplot: plots the losses of a fit."""

from data import points
from livelossplot import PlotLossesKeras
from nets import fit_dense

PACKAGE = "livelossplot"


def train(observe):
    plot = PlotLossesKeras(outputs=["ExtremaPrinter"])
    return fit_dense(observe, *points(), [plot])
