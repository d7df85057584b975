"""Advice on initial weights, and spells of short runs, for several rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradscope.diagnosis.view import View

#: Initializers to advise.
HE = '`kernel_initializer="he_normal"` (with ReLU) or '
GLOROT = 'Keras\'s default `kernel_initializer="glorot_uniform"`'


def min_records(view: View, limit: float) -> float:
    """Lower a number of recorded steps to that of a very short run."""
    return min(limit, max(5, view.count - 1))
