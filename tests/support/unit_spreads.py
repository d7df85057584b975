"""The spread of units, computed by other means."""

import numpy as np

from gradscope.measuring.unit_spread import MOST_UNITS


def expected(gradient):
    """Returns the spread of a gradient, by numpy."""
    if np.ndim(gradient) < 2 or np.shape(gradient)[-1] < 2:
        return np.nan
    units = np.reshape(gradient, [-1, np.shape(gradient)[-1]])[:, :MOST_UNITS]
    units = units.astype(np.float64)
    rest = units - units.mean(axis=1, keepdims=True)
    return np.linalg.norm(rest) / np.linalg.norm(units)
