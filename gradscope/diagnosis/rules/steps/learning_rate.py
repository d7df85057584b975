"""The kind `learning-rate`, and code that its rules share.

`rate_too_large` and `rate_too_small` have the rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.spells import (
    Spell,
    median,
)
from gradscope.diagnosis.wording import code, finding, join_words

if TYPE_CHECKING:
    from gradscope.diagnosis.finding import Finding
    from gradscope.diagnosis.view import View


declare(
    Kind(
        name="learning-rate",
        rank=130,
        ceiling="error",
        what="Updates are far too large or too small in most layers.",
        needs="model, for the loss",
        shown_by=Shown(("update_to_weight_ratio",)),
        limits={
            "high_ratio": Limit(
                0.1,
                "update-to-weight ratio of most layers; about 0.001 is healthy "
                "(CS231n, neural-networks-3), and above 0.1 weights are "
                "overwritten",
            ),
            "beyond_rate": Limit(
                10,
                "update-to-weight ratio for which a learning rate alone is "
                "rarely the cause",
            ),
            "low_ratio": Limit(
                1e-5,
                "update-to-weight ratio that is too small to learn "
                "(TheDeepChecker uses 1e-4)",
            ),
            "moved": Limit(
                0.1,
                "all updates of a training together, as a share of the "
                "weights; one that learns from the start moves by about its "
                "own size",
            ),
            "overwritten": Limit(
                0.3,
                "update-to-weight ratio of a single layer, where the loss "
                "stays above that of guessing: three steps overwrite it",
            ),
        },
        cause_rank=130,
        symptoms=(
            "dead-relu",
            "exploding-gradient",
            "loss-diverges",
            "non-finite",
            "saturated-activation",
            "zero-gradient",
            "update-too-large",
            "update-too-small",
            "vanishing-gradient",
            "batchnorm-statistics",
            "loss-metric-disagree",
        ),
    )
)


def rate_finding(
    view: View,
    severity: str,
    spell: Spell,
    *,
    what: str,
    evidence: dict[str, float],
    cause: str,
    factor: float,
    remedy: str | None = None,
) -> Finding:
    """Make a finding that advises another learning rate.

    Args:
        view: The run.
        severity: Severity of the finding.
        spell: Recorded steps with updates of the wrong size.
        what: Description of the fault.
        evidence: Numbers; the learning rate is added where it is known.
        cause: The likely cause.
        factor: Factor by which to multiply the learning rate.
        remedy: Advice other than that factor.
    """
    rate = float(median(view.get("learning_rate")))
    is_known = np.isfinite(rate)
    advice = _advice(view, spell, factor)
    return finding(
        view,
        "learning-rate",
        severity,
        None,
        spell,
        what=what,
        evidence=evidence | ({"learning_rate": rate} if is_known else {}),
        cause=cause,
        remedy=remedy or f"Try {advice}, then adjust it in factors of three.",
    )


def _advice(view: View, spell: Spell, factor: float) -> str:
    """Word the learning rates to set.

    Of an optimizer with parts, these are the parts with a kernel whose updates
    are as wrong as those of the typical kernel, or more.
    """
    paces = [view.pace[row] for row in view.kernels]
    ratios = median(update_ratios(view)[spell.slice], axis=0)
    typical = median(ratios)
    is_wrong = ratios >= typical if factor < 1 else ratios <= typical
    wrong_paces = {paces[column] for column in np.flatnonzero(is_wrong)}
    return join_words(
        [
            _word_rate(part, rate, factor)
            # By `repr`, since a rate that is not known is NaN, which has no
            # order.
            for part, rate in sorted(wrong_paces or set(paces), key=repr)
        ]
    )


def _word_rate(part: str, rate: float, factor: float) -> str:
    """Word the learning rate to set for one part of the optimizer."""
    advice = f"{factor:g} times the learning rate"
    if np.isfinite(rate):
        advice = f"`learning_rate={rate * factor:.1g}`"
    return f"{advice} for {code(part)}" if part else advice


def update_ratios(view: View) -> np.ndarray:
    """Get update-to-weight ratios of the K kernels, float64 [T, K]."""
    return view.get("update_to_weight_ratio")[:, view.kernels].astype(float)


def round_to_one_digit(factor: float) -> float:
    """Round to one significant digit, for advice: `0.0321` to `0.03`."""
    return float(f"{factor:.0e}")
