"""Rules about batches that are no fair sample of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.guessing_loss import chance, classes
from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.wording import finding

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View

declare(
    Kind(
        name="unshuffled-data",
        rank=62,
        ceiling="warning",
        what="The targets of batches differ far more than chance allows, and "
        "those of consecutive batches are alike: the data are hardly shuffled; "
        "or each batch has a few of many classes.",
        needs="model; targets",
        shown_by=Shown(("data_mean",), role="target"),
        is_note_if_learned=True,
        limits={
            "excess": Limit(
                5,
                "variance of the batches' mean targets, divided by that of "
                "random samples of the same size; those have 1",
            ),
            "apart": Limit(
                20, "the same, where consecutive batches are not alike"
            ),
            "order": Limit(
                0.7,
                "correlation of the mean targets of consecutive batches; "
                "random samples have 0",
            ),
        },
        symptoms=("nothing-learned", "loss-metric-disagree", "dead-relu"),
        cause_rank=52,
    )
)


@rule
def unshuffled_data(view: View, limits: Limits) -> Findings:
    """Mean targets that drift from batch to batch, as those of sorted data."""
    rows = view.data_rows("target")
    if len(rows) != 1 or not chance(view) > 0 or not _has_classes(view):
        return  # of series, neighbours may be alike, and other targets drift
    excess, order = _drift(view, rows[0])
    if not excess > limits["unshuffled-data.excess"]:
        return
    if not order > limits["unshuffled-data.order"]:
        yield from _batches_apart(view, limits, excess)
        return
    yield finding(
        view,
        "unshuffled-data",
        "note" if view.loss_fall > 0.9 else "warning",
        None,
        None,
        what=f"The mean targets of batches vary {excess:.2g} times as much as "
        "those of random samples would, and consecutive batches are alike "
        f"(a correlation of {order:.2g})",
        evidence={
            "excess": excess,
            "excess_limit": limits["unshuffled-data.excess"],
            "order": order,
            "order_limit": limits["unshuffled-data.order"],
        },
        cause="Most likely the data are in an order, as that of their classes, "
        "and are not shuffled, or by a buffer that is much smaller than the "
        "data (`shuffle(100)` of thousands). Each step then pulls the network "
        "to the classes of its batch, and the next ones pull it elsewhere. An "
        "order that is meant, as from easy to hard, looks the same.",
        remedy="Shuffle all examples once before they are batched: "
        "`order = np.random.permutation(len(x))`, or "
        "`dataset.shuffle(len(x))` before `batch` and `repeat`.",
    )


def _batches_apart(view: View, limits: Limits, excess: float) -> Findings:
    """Batches of a few classes each, in no order."""
    limit = limits["unshuffled-data.apart"]
    # With two classes, batches may take turns, as an adversary's do.
    if not excess > limit or not classes(view) > 2:
        return
    if "crossentropy" not in view.loss_name:
        return  # a loss of one's own may ask for such batches
    yield finding(
        view,
        "unshuffled-data",
        "note" if view.loss_fall > 0.9 else "warning",
        None,
        None,
        what=f"The mean targets of batches vary {excess:.2g} times as much as "
        "those of random samples would: a batch has a few of the classes",
        evidence={"excess": excess, "excess_limit": limit},
        cause="Most likely data in the order of their classes are cut into "
        "batches before they are shuffled (`batch` before `shuffle`), so whole "
        "batches change their places. Each step then pulls the network to the "
        "classes of its batch.",
        remedy="Shuffle the examples before they are batched: "
        "`dataset.shuffle(len(x)).batch(32)`.",
    )


def _drift(view: View, row: int) -> tuple[float, float]:
    """Compare the mean targets of batches with those of random samples.

    The mean of n random examples varies by their variance over n.

    Args:
        view: The run.
        row: Row of the target.

    Returns:
        Variance of the means, divided by that of random samples; and the
        correlation of consecutive means. Both are NaN if not known.
    """
    mean = view.get("data_mean")[:, row].astype(float)
    variation = view.get("data_variation")[:, row].astype(float)
    examples = view.get("data_examples")[:, row].astype(float)
    # Only batches of steps in a row are neighbours.
    follows = np.diff(view.steps) == 1
    # Records of before do not know how many examples a batch had.
    is_known = np.isfinite(mean) & (examples > 0)
    # The correlation of n independent pairs varies by 1 / sqrt(n), .18 for 30:
    # of fewer it would prove nothing.
    if follows.sum() < 30 or not is_known.all():
        return np.nan, np.nan
    # A batch of a single example has no variation (NaN): it does not vary.
    total = float(np.mean(np.nan_to_num(variation) ** 2) + np.var(mean))
    expected = total / float(np.mean(examples))
    excess = float(np.var(mean)) / expected if expected > 0 else np.nan
    return excess, _correlation(mean[:-1][follows], mean[1:][follows])


def _has_classes(view: View) -> bool:
    """Return whether the targets are classes, and no numbers that may drift.

    The targets of a regression that are computed by a network (as in
    Q-learning) drift with it, even in random batches.
    """
    if view.is_regression:
        return False
    target = view.schema.data[view.data_rows("target")[0]]
    is_integer = "int" in target.dtype or target.dtype == "bool"
    return is_integer or "crossentropy" in view.loss_name


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    if not np.ptp(a) > 0 or not np.ptp(b) > 0:
        return np.nan
    return float(np.corrcoef(a, b)[0, 1])
