"""Targets that are NaN where they are missing, and that the loss leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.wording import code, finding

if TYPE_CHECKING:
    from gradscope.diagnosis.finding import Finding
    from gradscope.diagnosis.spells import Spell
    from gradscope.diagnosis.view import View
    from gradscope.reading.nonfinite import NonFinite


def are_left_out(view: View) -> bool:
    """Return whether no loss, gradient or output was ever not finite."""
    outputs = view.data_rows("output")
    return bool(
        np.isfinite(view.loss).all()
        and not view.get("gradient_nonfinite")[:, view.kernels].any()
        and np.isfinite(view.get("global_gradient_norm")).all()
        and np.isfinite(view.get("data_rms")[:, outputs]).all()
    )


def left_out_finding(view: View, origin: NonFinite, spell: Spell) -> Finding:
    """Make the finding about missing targets that the loss leaves out."""
    return finding(
        view,
        "non-finite",
        "note",
        None,
        spell,
        what=f"{code(origin.name or 'target')} has values that are NaN or "
        f"infinite from step {origin.step} on, and the loss and all gradients "
        "are finite all the same",
        evidence={"step": origin.step, "first": origin.kind},
        cause="Most likely these values are missing, and the loss leaves them "
        "out.",
        remedy="Nothing, if they are meant to be left out. Metrics, and a loss "
        "without such a mask, would be NaN.",
    )
