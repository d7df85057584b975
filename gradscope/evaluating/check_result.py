"""What a check of a model's two modes has found, and how that is told."""

from __future__ import annotations

import dataclasses
import math

from gradscope.diagnosis.limits import LIMITS
from gradscope.terminal import json_value, paragraph, printable

#: Of `to_dict`; goes up when a field changes its meaning or goes away.
JSON_VERSION = 1

#: How many times one loss is the other, for a gap.
RATIO = LIMITS["train-inference-mismatch.ratio"].default

#: Relative difference of the two losses that is none.
NONE = 0.01


@dataclasses.dataclass(frozen=True)
class LayerCheck:
    """One layer that computes something else in training than in inference.

    Attributes:
        layer: Its name.
        kind: `"batch_norm"`, or the name of its class.
        alone: The loss if this layer alone computes as in inference, and all
            others as in training; batch norms with the statistics that the
            batch has in training. (Left to themselves, those behind a spoilt
            one would take out again what it does.)
        share: How much of the gap that is: 1 is all of it; NaN without a gap.
        repaired: The loss of inference if this layer alone computes as in
            training, a batch norm with these statistics.
        momentum: Of a batch norm, else NaN.
        mean_distance: Of a batch norm the moving mean minus that of the batch,
            in standard deviations of the batch (rms over channels), else NaN.
        variance_distance: Likewise |ln| of the ratio of variances (mean over
            channels).
    """

    layer: str
    kind: str
    alone: float
    share: float
    repaired: float
    momentum: float = math.nan
    mean_distance: float = math.nan
    variance_distance: float = math.nan


@dataclasses.dataclass(frozen=True)
class Check:
    """Training against inference on one batch, with the same weights.
    `print(...)` tells it in words.

    Attributes:
        training_loss: With dropout and the statistics of the batch.
        inference_loss: Without, and with moving statistics.
        statistics_loss: Of inference, if the moving statistics of all batch
            norms were those of the batch; NaN without batch norm.
        layers: Those that have two modes, in forward order.
        cause: Name of the layer that makes most of the gap, None if there is
            no gap.
        updates: How many further updates of the moving statistics, at these
            weights and on this batch, close `closed` of the gap that they
            make: 0 if they make none, None if no number does.
        updates_by_momentum: `ln(1 - closed) / ln(momentum)` of the slowest
            batch norm: after so many that share of each statistic's distance
            is gone. NaN without batch norm.
        simulated_loss: Of inference after so many updates made one by one, on
            copies; NaN if there were too many to make (2000, or half a
            minute).
        closed: Share of the gap.
    """

    training_loss: float
    inference_loss: float
    statistics_loss: float
    layers: tuple[LayerCheck, ...]
    cause: str | None
    updates: int | None
    updates_by_momentum: float
    simulated_loss: float
    closed: float

    @property
    def gap(self) -> float:
        """Loss of inference minus that of training."""
        return self.inference_loss - self.training_loss

    @property
    def has_gap(self) -> bool:
        """Whether one of the losses is more than twice the other one (the
        limit of the finding `train-inference-mismatch`), or no number."""
        a, b = abs(self.training_loss), abs(self.inference_loss)
        return not (a <= RATIO * b and b <= RATIO * a)

    def __str__(self) -> str:
        return text(self)

    def to_dict(self) -> dict:
        """Returns what `gradscope check --json` prints, see docs/compare.md."""
        return {
            "version": JSON_VERSION,
            "verdict": verdict(self),
            "gap": json_value(self.gap),
            "has_gap": self.has_gap,
            **json_value(dataclasses.asdict(self)),
        }


def verdict(found: Check) -> str:
    """Returns in one or two sentences whether the modes agree."""
    training, inference = found.training_loss, found.inference_loss
    losses = (
        f"training loses {training:.4g} and inference {inference:.4g} on the "
        "same batch"
    )
    if found.cause is None:
        return f"Both modes agree: {losses}."
    head = "There is a gap" if found.has_gap else "There is a small gap"
    kinds = {one.layer: one for one in found.layers}
    cause = kinds[found.cause]
    share = f"{cause.share:.0%} of it"
    if cause.kind != "batch_norm":
        name = f"{cause.layer} ({cause.kind})"
        return f"{head}: {losses}. {name} is the cause: it makes {share}."
    return (
        f"{head}: {losses}. The moving statistics of {cause.layer} are the "
        f"cause: alone they make {share}. {_remedy(found)}"
    )


def _remedy(found: Check) -> str:
    if found.updates is None:
        return (
            "No number of further updates closes it: the statistics do not "
            "move (a momentum of 1, or a layer that is frozen)."
        )
    if not found.updates:
        return "The statistics of the batch would not make it smaller."
    after = ""
    if not math.isnan(found.simulated_loss):
        loss = f"{found.simulated_loss:.4g}"
        after = f" (made one by one: inference then loses {loss})"
    return (
        f"{found.updates} further updates of the moving statistics, at these "
        f"weights, close {found.closed:.0%} of it{after}."
    )


def text(found: Check) -> str:
    """Returns a check for people, the verdict first."""
    lines = [paragraph(verdict(found), "")]
    if not math.isnan(found.statistics_loss):
        lines.append(
            paragraph(
                "With the statistics of this batch in all batch norms, "
                f"inference loses {found.statistics_loss:.4g}."
            )
        )
    if not found.layers:
        lines.append("  No layer computes something else in training.")
        return "\n".join(lines)
    names = [printable(one.layer) for one in found.layers]
    width = min(max(map(len, [*names, "layer"])), 28)
    heads = ("alone", "share", "repaired", "mean", "variance")
    lines += [
        "",
        f"  {'layer':{width}}" + "".join(f"{head:>10}" for head in heads),
    ]
    for name, one in zip(names, found.layers, strict=True):
        cells = (
            f"{one.alone:.4g}",
            "-" if math.isnan(one.share) else f"{one.share:.0%}",
            f"{one.repaired:.4g}",
            *map(_distance, (one.mean_distance, one.variance_distance)),
        )
        name = name if len(name) <= width else f"…{name[1 - width :]}"
        lines.append(f"  {name:{width}}" + "".join(f"{c:>10}" for c in cells))
    lines += [
        "",
        paragraph(
            "alone: the loss if this layer alone computes as in inference; "
            "share: of the gap; repaired: the loss of inference if this layer "
            "alone computes as in training; mean, variance: how far the moving "
            "statistics are from those of the batch (standard deviations, and "
            "|ln| of the ratio)."
        ),
    ]
    return "\n".join(lines)


def _distance(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2g}"
