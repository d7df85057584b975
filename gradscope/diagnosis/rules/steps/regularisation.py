"""Rules about dropout and weight penalties."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.spells import median
from gradscope.diagnosis.wording import (
    code,
    finding,
    join_code,
    join_words,
    percent,
)

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View


declare(
    Kind(
        name="dropout-keep-prob",
        rank=230,
        ceiling="warning",
        what="A dropout rate may have been meant as the share to keep.",
        shown_by=Shown(("dropped_fraction", "dropout_rate")),
        limits={
            "rate": Limit(
                0.55,
                "dropout rate above which the share to keep may have been "
                "meant (examples)",
            ),
            "certain": Limit(
                0.8,
                "dropout rate that is surely the share to keep if more than "
                "one layer has it: hardly anybody drops 0.8 on purpose "
                "(benchmark)",
            ),
            "gap": Limit(
                0.1,
                "difference in accuracy between training mode and inference "
                "mode (examples); with a probe, the difference between the "
                "losses as a share of the loss of guessing",
            ),
        },
        cause_rank=190,
        symptoms=(
            "train-inference-mismatch",
            "loss-metric-disagree",
            "dead-relu",
            "vanishing-gradient",
        ),
    )
)


@rule
def dropout_keep_prob(view: View, limits: Limits) -> Findings:
    """A dropout rate that may have been meant as the share to keep.

    TensorFlow 1's `keep_prob` is the share of units that is kept, and Keras's
    `rate` the share that is dropped: `keep_prob=0.7` is `rate=0.3`.
    """
    limit = limits["dropout-keep-prob.rate"]
    rate = median(view.get("dropout_rate"), axis=0)
    dropped = median(view.get("dropped_fraction"), axis=0)
    high = [
        row
        for row, state in view.states
        if state.kind == "dropout"
        and (
            rate[row] > limit or (np.isnan(rate[row]) and dropped[row] > limit)
        )
    ]
    if not high:
        return
    names = [view.states[row][1].name for row in high]
    rates = [float(np.nan_to_num(rate[row], nan=dropped[row])) for row in high]
    gap = _dropout_gap(view)
    is_stalled = view.loss_fall < limits["learned.fall"]
    has_gap = gap > limits["dropout-keep-prob.gap"]
    is_certain = (
        sum(r >= limits["dropout-keep-prob.certain"] for r in rates) > 1
    )
    is_harmful = has_gap or is_stalled or is_certain
    rounded_rates = [float(f"{r:.2g}") for r in dict.fromkeys(rates)]
    dropped_shares = [percent(r) for r in rounded_rates]
    kept_shares = [f"{1 - r:.2g}" for r in rounded_rates]
    yield finding(
        view,
        "dropout-keep-prob",
        "warning" if is_harmful else "note",
        names[0],
        None,
        what=f"{join_code(names)} {'drops' if len(names) == 1 else 'drop'} "
        f"{join_words(dropped_shares)} of the units in each step",
        evidence={
            "dropout_rate": max(rates),
            "dropout_rate_limit": limit,
            "dropped_fraction": float(median(dropped[high])),
            "accuracy_gap": gap,
            "accuracy_gap_limit": limits["dropout-keep-prob.gap"],
            "loss_fall": view.loss_fall,
            "layers": names,
        },
        cause="The rate in Keras is the share of units to drop. If the share "
        "to keep was meant, as with `keep_prob` in TensorFlow 1, the rate "
        f"should be {join_words(kept_shares)}.",
        remedy=f"Use `Dropout({1 - max(rates):.2g})`, or a rate between 0.1 "
        "and 0.5.",
    )


def _dropout_gap(view: View) -> float:
    """Estimate how much better the network is without its dropout.

    This is validation accuracy minus training accuracy. Where these are not
    logged, the gap is taken from the losses of a probe, as a share of the loss
    of guessing, or else from a training accuracy below .8, as if it could be
    .9. NaN if none of them is known.
    """
    training, validation = view.accuracy, view.validation_accuracy
    if training is not None and validation is not None:
        return float(median(validation[-3:]) - median(training[-3:]))
    _, losses = view.record.occasional("probe")
    if len(losses):
        in_training, in_inference = median(losses[-3:, 0], axis=0)
        # A share of the loss of guessing is about a difference in accuracy.
        # (A share of the loss itself is large where the loss is small.)
        size = view.uniform_loss
        size = size if np.isfinite(size) else view.first_loss
        return float((in_training - in_inference) / max(abs(size), 1e-12))
    if training is not None:
        return float(0.9 - training[-1]) if training[-1] < 0.8 else 0.0
    return np.nan


declare(
    Kind(
        name="penalty-dominates",
        rank=240,
        ceiling="warning",
        what="The weight penalty, or another term that layers add to the loss, "
        "makes up most of the loss, and only that term falls.",
        needs="model",
        shown_by=Shown(("weight_norm",)),
        limits={
            "share": Limit(0.5, "share of the loss that is the weight penalty"),
            "added": Limit(
                0.3,
                "share of the first epoch's loss that layers add, where the "
                "outputs do not depend on the inputs (benchmark)",
            ),
        },
        cause_rank=220,
        symptoms=(
            "vanishing-gradient",
            "dead-relu",
            "symmetric-units",
            "loss-metric-disagree",
            "update-too-large",
            "learning-rate",
            "zero-gradient",
        ),
    )
)


@rule
def penalty_dominates(view: View, limits: Limits) -> Findings:
    """A weight penalty that makes up most of the loss.

    The penalty is computed from the norms of the weights and the factors of
    the regularizers. For L1 the mean size of weights is estimated from their
    rms, as if they were normally distributed.
    """
    penalty = _penalties(view).sum(axis=1)
    if not penalty.any() or not np.isfinite(view.loss).any():
        return
    share = penalty / view.loss
    data = view.loss - penalty
    # The same records as for `View.first_loss` and `View.last_loss`.
    first = float(median(data[: max(3, min(10, view.count // 10))]))
    last = float(median(data[view.end.slice]))
    typical = float(median(share))
    limit = limits["penalty-dominates.share"]
    data_fall = (first - last) / max(abs(first), 1e-12)
    # A penalty that dominates at first makes the weights small, and then is
    # small itself.
    if not (typical > limit or float(share[0]) > 0.8) or data_fall > 0.5:
        return
    names = [n for n, facts in view.facts.items() if _penalty_factors(facts)]
    yield finding(
        view,
        "penalty-dominates",
        "warning",
        _most_penalised_layer(view),
        None,
        what=f"The weight penalty is "
        f"{percent(min(max(typical, float(share[0])), 1))} of the loss, and "
        "the rest of the loss has hardly fallen",
        evidence={
            "penalty_share": typical,
            "penalty_share_limit": limit,
            "data_loss_fall": data_fall,
            "layers": names,
        },
        cause="Small weights reduce the loss more than a good fit does, which "
        "pulls the weights to zero, and the outputs to a constant.",
        remedy="Divide the factor of the regularizer by 100. Values from 1e-5 "
        "to 1e-3 are usual, as in `keras.regularizers.L2(1e-4)`.",
    )


@rule
def activity_penalty(view: View, limits: Limits) -> Findings:
    """A penalty on the outputs of a layer whose units are dead."""
    dead = view.get("dead_fraction").astype(float)
    for row, activation in view.activations:
        layer = view.layer_of(activation)
        penalty = view.config(layer, "activity_regularizer")
        dead_share = float(median(dead[view.end.slice, row]))
        limit = limits["dead-relu.error"]
        if not penalty or not dead_share >= limit:
            continue
        yield finding(
            view,
            "penalty-dominates",
            "warning",
            layer,
            None,
            what=f"The outputs of {code(layer)} are penalised, and "
            f"{percent(dead_share)} of its units are now zero for every "
            "example",
            evidence={
                "dead_fraction": dead_share,
                "dead_fraction_limit": limit,
            },
            cause="Outputs of zero reduce the loss more than outputs that the "
            "next layer could use.",
            remedy="Divide the factor of `activity_regularizer` by 100. The "
            "penalty is added for each unit and each example.",
        )


def _most_penalised_layer(view: View) -> str:
    """Find the layer with the largest penalty in the first record."""
    return view.layer(int(_penalties(view)[0].argmax()))


def _penalties(view: View) -> np.ndarray:
    """Compute the penalty on each variable in each step, float64 [T, rows]."""
    total = np.zeros((view.count, len(view.schema.variables)))
    norms = view.get("weight_norm").astype(float)
    rms = view.get("weight_rms").astype(float)
    for row, variable in enumerate(view.schema.variables):
        facts = view.facts.get(variable.layer)
        part = "bias" if variable.name.endswith("bias") else "kernel"
        for l1, l2, factor_part in _penalty_factors(facts):
            if factor_part != part:
                continue
            # The mean absolute value of normally distributed numbers is
            # sqrt(2 / pi), or .8, of their rms.
            total[:, row] += np.nan_to_num(l2 * norms[:, row] ** 2)
            total[:, row] += np.nan_to_num(
                l1 * variable.size * 0.8 * rms[:, row]
            )
    return total


def _penalty_factors(
    facts: dict[str, Any] | None,
) -> list[tuple[float, float, str]]:
    """List the regularizers of a layer: L1 and L2 factors, and the variable."""
    factors = []
    config = (facts or {}).get("config") or {}
    for part in ("kernel", "bias"):
        regularizer = config.get(f"{part}_regularizer")
        if not isinstance(regularizer, dict):
            continue
        arguments = regularizer.get("config")
        if not isinstance(arguments, dict):  # the name of a function
            continue
        l1, l2 = arguments.get("l1", 0) or 0, arguments.get("l2", 0) or 0
        if l1 or l2:
            factors.append((float(l1), float(l2), part))
    return factors
