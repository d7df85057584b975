"""CodeCarbon: the emissions of a fit, from a table it ships."""

from codecarbon import OfflineEmissionsTracker
from data import points
from nets import fit_dense

PACKAGE = "codecarbon"


def train(observe):
    with OfflineEmissionsTracker(country_iso_code="FRA", log_level="error"):
        return fit_dense(observe, *points())
