"""How much inputs, targets and outputs differ between examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.spells import median

if TYPE_CHECKING:
    from gradscope.diagnosis.view import View


def are_outputs_constant(view: View) -> bool:
    """Return whether the outputs never differed between two examples."""
    rows = view.data_rows("output")
    variation = view.get("data_variation")[:, rows]
    has_varied = smallest_share(view, ("input",), slice(None)) > 0.01
    return bool(rows and (variation == 0).all() and has_varied)


def largest_share(view: View, role: str, steps: slice) -> float:
    """Largest variation of the rows of a role, as a share of their rms."""
    shares = _shares(view, (role,), steps)
    return float(np.nanmax(shares, initial=-1))


def smallest_share(view: View, roles: tuple[str, ...], steps: slice) -> float:
    """Smallest of the typical variations of rows, as shares of their rms."""
    shares = _shares(view, roles, steps)
    return float(median(shares, axis=0).min(initial=np.inf))


def _shares(view: View, roles: tuple[str, ...], steps: slice) -> np.ndarray:
    rows = [row for role in roles for row in view.data_rows(role)]
    shares: np.ndarray = (
        view.get("data_variation")[steps][:, rows]
        / view.get("data_rms")[steps][:, rows]
    )
    return shares
