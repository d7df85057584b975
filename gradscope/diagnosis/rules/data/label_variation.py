"""Rules about targets that leave nothing to tell apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.rules.data.data_scale import target_range
from gradscope.diagnosis.wording import finding, percent

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View


declare(
    Kind(
        name="constant-labels",
        rank=60,
        ceiling="error",
        what="All examples have the same target, or all examples of a batch "
        "do, because the data are sorted by class.",
        needs="model",
        shown_by=Shown(("data_mean",), role="target"),
        limits={
            "batches": Limit(
                0.6, "share of the batches in which all targets are the same"
            ),
        },
        cause_rank=50,
        symptoms=(
            "dead-relu",
            "saturated-activation",
            "loss-diverges",
            "learning-rate",
            "exploding-gradient",
            "batchnorm-statistics",
            "train-inference-mismatch",
            "vanishing-gradient",
            "zero-gradient",
            "loss-metric-disagree",
        ),
    )
)


@rule
def constant_labels(view: View, limits: Limits) -> Findings:
    """Targets that are the same for every example."""
    rows = view.data_rows("target")
    if len(rows) != 1 or view.count < 5:
        return
    row = rows[0]
    spread = view.get("data_variation")[:, row]
    mean = view.get("data_mean")[:, row]
    # To an infinite one, any difference is small; `non_finite` reports it.
    if not np.isfinite(mean).any() or np.isinf(mean).any():
        return
    # A batch of a single example has no variation (NaN).
    has_batches = np.isfinite(spread).any()
    # Means of equal numbers may differ in the last bits of float32.
    steady = np.nanmax(mean) - np.nanmin(mean) <= 1e-6 * np.nanmax(abs(mean))
    if has_batches:
        steady = steady and np.nanmax(spread) <= 1e-6 * max(
            np.nanmax(abs(mean)), 1e-6
        )
    else:
        low, high = target_range(view)
        steady = steady and low == high
    if not steady or _is_adversarial(view):
        return
    yield finding(
        view,
        "constant-labels",
        "note" if _may_ignore_targets(view, limits) else "error",
        None,
        None,
        what=f"All examples have the same target (mean {np.nanmean(mean):.3g})",
        evidence={"target_mean": float(np.nanmean(mean)), "variation": 0.0},
        cause="A loss that compares outputs with such targets has nothing to "
        "tell apart. Possible reasons are a wrong column, a cast to integers, "
        "or data sorted by class of which only the first part is used. A loss "
        "of your own may not use the targets at all.",
        remedy="Check `np.unique(y, return_counts=True)` right before `fit`.",
    )


#: Parts of the names of losses that compare outputs with targets.
_COMPARING = ("crossentropy", "error", "hinge", "huber", "cosh", "poisson")


def _may_ignore_targets(view: View, limits: Limits) -> bool:
    """Return whether a loss of the user's own may do without targets.

    Such a loss is computed from the outputs alone, and falls all the same; or
    the targets are zeros of another shape, which `fit` asks for.
    """
    if any(part in view.loss_name for part in _COMPARING):
        return False
    rows = [*view.data_rows("target"), *view.data_rows("output")]
    shapes = {view.schema.data[row].shape for row in rows}
    is_filler = not view.get("data_rms")[:, rows[0]].any() and len(shapes) > 1
    return is_filler or view.loss_fall > limits["learned.fall"]


def _is_adversarial(view: View) -> bool:
    """Return whether a part of the model is frozen, as a GAN's discriminator.

    A generator learns through it what it takes for real: the target is 1 for
    all that the generator makes.
    """
    return any(
        (fact.get("config") or {}).get("trainable") is False
        for fact in view.facts.values()
    )


@rule
def sorted_by_class(view: View, limits: Limits) -> Findings:
    """Batches with a single target each, sorted by class.

    Batches with a single target may also take turns on purpose, as those of a
    GAN's discriminator. There, most consecutive batches differ in target; in
    sorted data few do.
    """
    rows = view.data_rows("target")
    if len(rows) != 1 or view.count < 10:
        return
    spread = view.get("data_variation")[:, rows[0]]
    mean = view.get("data_mean")[:, rows[0]]
    is_single = spread == 0
    single_share = float(np.mean(is_single))
    # Of two batches in a row that have one class each.
    are_pairs = (np.diff(view.steps) == 1) & is_single[1:] & is_single[:-1]
    changed = (np.diff(mean) != 0)[are_pairs]
    if single_share < limits["constant-labels.batches"] or changed.size < 10:
        return
    # The first class may have more batches than were recorded in a row; where
    # one class is rare, no batch is of that one alone.
    if not changed.mean() < 0.25 or len(np.unique(mean[is_single])) < 2:
        return
    yield finding(
        view,
        "constant-labels",
        "warning",
        None,
        None,
        what=f"In {percent(single_share)} of the batches, all examples have "
        "the same target, which changes from time to time",
        evidence={
            "batches": single_share,
            "batches_limit": limits["constant-labels.batches"],
        },
        cause="Most likely the data are sorted by class and not shuffled. "
        "Each step then unlearns the other classes, and a batch norm would see "
        "the statistics of one class at a time.",
        remedy="Shuffle all of the data: `fit(..., shuffle=True)`, or "
        "`dataset.shuffle(len(x))` before `batch`.",
    )
