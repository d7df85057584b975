"""Rules about gradients that are not finite, zero or missing."""

from __future__ import annotations

import numpy as np

from gradscope.diagnosis.registry import rule
from gradscope.diagnosis.rules import vanishing_causes
from gradscope.diagnosis.spells import longest, median, spells
from gradscope.diagnosis.wording import finding, several


@rule
def non_finite(view, limits):
    """NaN or infinity, wherever it came first."""
    found = view.record.first_nonfinite()
    if found is None:
        return
    index = int(np.searchsorted(view.steps, found.step))
    index = min(index, view.count - 1)
    spell = spells(np.arange(view.count) >= index)[0]
    what, _, rest = found.message.partition(". ")
    yield finding(
        view,
        "non-finite",
        "error",
        vanishing_causes.owner(view, found.name)
        or vanishing_causes.entered(view, found.kind),
        spell,
        what=what,
        evidence={"step": found.step, "first": found.kind}
        | ({"operation": found.name} if found.kind == "layer" else {}),
        cause=rest,
        remedy="Nothing is learned from then on: mend the cause, and start "
        "from weights of before this step.",
    )


@rule
def zero_gradient(view, limits):
    """Kernels that get no gradient at all, for no reason known."""
    norms, weights = view.get("gradient_norm"), view.get("weight_norm")
    least = min(limits["zero-gradient.records"], max(5, view.count - 1))
    found = []
    for row in view.kernels:
        stuck = norms[:, row] == 0
        if not _is_half(view):
            stuck &= weights[:, row] != 0  # of zero weights see `zero_init`
        spell = longest(stuck, least)
        found += [(row, spell)] if spell else []
    # A net that has nothing left to learn has no gradient anywhere.
    if not found or _has_converged(view, found):
        return
    names = [view.layer(row) for row, _ in found]
    row, spell = found[0]
    yield finding(
        view,
        "zero-gradient",
        "error" if spell.until_the_end else "warning",
        view.layer(row),
        spell,
        what=f"The gradient of {several(names)} is exactly zero, so nothing is "
        "learned there",
        evidence={
            "gradient_norm": 0.0,
            "records": spell.length,
            "records_limit": limits["zero-gradient.records"],
            "layers": names,
        },
        cause="Gradients below 6e-8 are zero in float16, in which this network "
        "computes."
        if _is_half(view)
        else "Something behind lets no gradient pass: units that are all "
        "dead, a loss that does not depend on it, rounding or comparing, or "
        "weights of zero.",
        remedy="Wrap the optimizer in `keras.optimizers.LossScaleOptimizer`, "
        'or use `"mixed_bfloat16"`.'
        if _is_half(view)
        else "Look at the activations of the layers behind it; and at "
        "operations without a slope (`round`, `argmax`, `cast` to an "
        "integer, comparisons).",
    )


@rule
def disconnected_variable(view, limits):
    """Variables that the loss does not depend on."""
    missing = view.get("gradient_missing")
    present = ~np.isnan(missing)
    rows = [
        row
        for row in range(missing.shape[1])
        if present[:, row].sum() >= min(10, view.count)
        and (missing[present[:, row], row] == 1).all()
    ]
    if not rows or len(rows) == missing.shape[1]:
        return
    names = [view.schema.variables[row].name for row in rows]
    # One of several outputs was given no loss, which may be meant; and what
    # learns as well without them may have them for another day.
    losses = view.model.get("loss")
    is_told = isinstance(losses, list) and None in losses
    is_told = is_told or view.fall > limits["disconnected-variable.fall"]
    yield finding(
        view,
        "disconnected-variable",
        "note" if is_told else "warning",
        view.layer(rows[0]),
        None,
        what=f"The loss does not depend on {several(names)}: "
        f"{'it has' if len(names) == 1 else 'they have'} no gradient at all "
        "and never change" + ("s" if len(names) == 1 else ""),
        evidence={"variables": names, "gradient_missing": 1.0},
        cause="The layer's output is not used, or the way from it to the loss "
        "is cut: by `stop_gradient`, by rounding or a cast to an integer, by "
        "numpy, or because it is computed outside of the gradient tape.",
        remedy="Use the layer's output in the loss. If it is meant to stay as "
        "it is, say so: `layer.trainable = False`.",
    )


def _is_half(view) -> bool:
    """Returns whether outputs are of half precision, which ends at 6e-8."""
    rows = view.data("output")
    return any(view.schema.data[row].dtype == "float16" for row in rows)


def _has_converged(view, found) -> bool:
    """Returns whether gradients end because the loss has reached zero."""
    ended = all(spell.until_the_end for _, spell in found)
    begun = min(spell.start for _, spell in found)
    if not ended or begun < 10:
        return False
    norm = view.get("global_gradient_norm").astype(float)
    return bool(median(norm[begun:]) < 1e-3 * median(norm[:10])) or (
        view.fall > 0.95
    )
