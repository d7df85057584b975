"""What must hold of losses that pass zero, and of targets that are missing."""

import numpy as np
from classifiers import classifier, run

import gradscope


def kinds(record):
    return [(f.kind, f.severity) for f in gradscope.diagnose(record)]


def test_a_loss_that_passes_zero_does_not_diverge():
    """A critic's loss is a difference of scores: it starts next to zero."""
    own = classifier(1, "own_loss")
    rise = np.r_[np.full(20, 0.01), np.full(20, -0.02), np.full(160, 0.2)]
    assert kinds(run(own, loss=rise)) == []
    (found,) = gradscope.diagnose(run(own, loss=abs(rise)))
    assert found.kind == "loss-diverges"


def test_missing_targets_that_the_loss_leaves_out():
    squared = classifier(5, "measured")
    missing = {
        "data_nonfinite": {"target": 3.0},
        "data_rms": {"target": np.nan},
        "data_mean": {"target": np.nan},
        "data_min": {"target": np.nan},
        "data_max": {"target": np.nan, "output": 1.0},
    }
    (found,) = gradscope.diagnose(run(squared, **missing))
    assert (found.kind, found.severity) == ("non-finite", "note")
    assert "`target` has values that are NaN" in found.what
    loss = np.r_[1.0, np.full(199, np.nan)]
    (found, *_) = gradscope.diagnose(run(squared, **missing, loss=loss))
    assert (found.kind, found.severity) == ("non-finite", "error")
