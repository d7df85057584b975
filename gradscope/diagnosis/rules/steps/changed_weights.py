"""Rules about weights that something else changes between two steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.spells import Spell, median
from gradscope.diagnosis.wording import finding, join_code, percent

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View

declare(
    Kind(
        name="weights-changed",
        rank=109,
        ceiling="warning",
        what="Something other than the optimizer changes weights between its "
        "steps, and the loss rises with it.",
        shown_by=Shown(("weight_norm",)),
        limits={
            "jump": Limit(
                2,
                "change of a weight's norm from one step to the next, divided "
                "by the norm of the update",
            ),
            "rise": Limit(
                0.1, "share by which the loss is higher after such a jump"
            ),
        },
        symptoms=("nothing-learned",),
        cause_rank=15,
    )
)


@rule
def weights_changed(view: View, limits: Limits) -> Findings:
    """Norms that change from one step to the next by more than the update.

    The norm of a sum is at most the sum of the norms, so an update changes the
    norm of a weight by at most its own. Where steps in between were not
    recorded, their updates are not known.
    """
    if view.is_short or not view.is_finite.all():
        return
    weights = view.get("weight_norm").astype(float)
    # Weights are recorded before their update, so the last one shows in none.
    updates = view.get("update_norm").astype(float)[:-1]
    change = abs(np.diff(weights, axis=0))
    # Smaller changes may be rounded.
    is_known = (np.diff(view.steps) == 1)[:, np.newaxis] & (updates > 0)
    is_known &= change > 1e-3 * weights[:-1]
    excess = np.where(is_known, change / updates, 0)
    limit = limits["weights-changed.jump"]
    jumped = (excess > limit).any(axis=1)
    indices = np.flatnonzero(jumped)
    if not len(indices):
        return
    rise = _rise(view, indices)
    is_harmful = rise > limits["weights-changed.rise"]
    rows = np.flatnonzero((excess > limit).any(axis=0))
    names = [view.schema.variables[row].name for row in rows]
    yield finding(
        view,
        "weights-changed",
        "warning" if is_harmful else "note",
        view.layer(int(rows[0])),
        # A jump lies between two records, which both belong to it.
        Spell(int(indices[0]), int(indices[-1]) + 2, view.count),
        what=f"{join_code(names)} changed between two steps by more than the "
        f"optimizer's updates can explain (after {len(indices)} of the "
        f"{view.count} recorded steps)"
        + (f", and the loss rose by {percent(rise)}" if is_harmful else ""),
        evidence={
            "jump": float(excess.max()),
            "jump_limit": limit,
            "times": len(indices),
            "loss_rise": rise,
            "variables": names,
        },
        cause="Something else writes to these weights. Possible writers are "
        "`set_weights` or "
        "`assign` in a callback or a loop (an average that is put in place of "
        "the weights, a checkpoint that is loaded again), a clip or a "
        "constraint outside of the optimizer, a second optimizer, or the "
        "layer's own call (as that of `SpectralNormalization`, which is meant "
        "so).",
        remedy="Look for what writes to the model's weights while it trains. "
        "Evaluate an average in a copy of the model, and train on the weights "
        "themselves.",
    )


def _rise(view: View, indices: np.ndarray) -> float:
    """Median share by which the loss is higher after jumps than before."""
    # The loss of a single batch varies by itself.
    before = [median(view.loss[max(0, i - 2) : i + 1]) for i in indices]
    after = [median(view.loss[i + 1 : i + 4]) for i in indices]
    sizes = np.maximum(np.abs(before), 1e-12)
    return float(median((np.array(after) - np.array(before)) / sizes))
