"""The result of `check`, and its text and JSON."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from gradscope.diagnosis.limits import LIMITS
from gradscope.terminal import json_value, paragraph, printable

#: Version of the JSON; rises when a field changes its meaning or goes away.
JSON_VERSION = 1

#: Ratio of the two losses above which they have a gap.
RATIO = LIMITS["train-inference-mismatch.ratio"].default

#: Relative difference up to which two losses count as the same.
NONE = 0.01


@dataclasses.dataclass(frozen=True)
class LayerCheck:
    """A layer that computes differently in training and in inference.

    Attributes:
        layer: Name of the layer.
        kind: `"batch_norm"`, or the name of its class.
        alone: Loss with this layer in inference mode and all others in training
            mode. The other batch norms use the statistics that the batch has in
            training; otherwise those behind this layer would normalise its
            error away.
        share: Share of the gap that this layer makes alone, 1 for all of it;
            NaN without a gap.
        repaired: Loss of inference with this layer in training mode; a batch
            norm uses the statistics that the batch has in training.
        momentum: Momentum of a batch norm, else NaN.
        mean_distance: For a batch norm the moving mean minus that of the batch,
            in standard deviations of the batch (rms over channels), else NaN.
        variance_distance: For a batch norm |ln| of the ratio of the moving
            variance and that of the batch (mean over channels), else NaN.
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

    `print(check)` describes it in words.

    Attributes:
        training_loss: Loss in training mode, with dropout and the statistics
            of the batch.
        inference_loss: Loss in inference mode, without dropout and with moving
            statistics.
        statistics_loss: Loss of inference if the moving statistics of all batch
            norms were those of the batch; NaN without batch norm.
        layers: The layers that have two modes, in forward order.
        cause: Name of the layer that makes most of the gap; None without a gap.
        updates: Number of further updates of the moving statistics, at these
            weights and on this batch, that close the share `closed` of the gap
            that the statistics make. 0 if they make none; None if no number of
            updates closes it.
        updates_by_momentum: `ln(1 - closed) / ln(momentum)` of the slowest
            batch norm, the number of updates that removes this share of each
            statistic's distance. NaN without batch norm.
        simulated_loss: Loss of inference after `updates` updates, made one by
            one on copies; NaN if they are too many (2000, or 30 seconds).
        closed: Share of the gap to be closed.

    Examples:
        >>> check = Check(
        ...     training_loss=1.0,
        ...     inference_loss=5.0,
        ...     statistics_loss=1.0,
        ...     layers=(),
        ...     cause=None,
        ...     updates=230,
        ...     updates_by_momentum=459,
        ...     simulated_loss=1.04,
        ...     closed=0.99,
        ... )
        >>> check.gap, check.has_gap
        (4.0, True)
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
        """Loss of inference minus loss of training."""
        return self.inference_loss - self.training_loss

    @property
    def has_gap(self) -> bool:
        """Whether one loss is more than twice the other, or one is NaN.

        The factor is the limit of the finding `train-inference-mismatch`.
        """
        a, b = abs(self.training_loss), abs(self.inference_loss)
        return not (a <= RATIO * b and b <= RATIO * a)

    def __str__(self) -> str:
        return text(self)

    def to_dict(self) -> dict[str, Any]:
        """Convert to the dict that `gradscope check --json` prints.

        docs/compare.md describes its keys.
        """
        return {
            "version": JSON_VERSION,
            "verdict": verdict(self),
            "gap": json_value(self.gap),
            "has_gap": self.has_gap,
            **json_value(dataclasses.asdict(self)),
        }


def verdict(check: Check) -> str:
    """State in one or two sentences whether the modes agree."""
    training, inference = check.training_loss, check.inference_loss
    losses = (
        f"the loss is {training:.4g} in training mode and {inference:.4g} in "
        "inference mode, on the same batch"
    )
    if check.cause is None:
        return f"Both modes agree: {losses}."
    head = "The modes differ" if check.has_gap else "The modes differ slightly"
    cause = next(
        layer for layer in reversed(check.layers) if layer.layer == check.cause
    )
    share = f"{cause.share:.0%} of the gap"
    if cause.kind != "batch_norm":
        name = f"`{cause.layer}` ({cause.kind})"
        return (
            f"{head}: {losses}. {name} is the cause: it accounts for {share}."
        )
    return (
        f"{head}: {losses}. The moving statistics of `{cause.layer}` are the "
        f"cause: they alone account for {share}. {_remedy(check)}"
    )


def _remedy(check: Check) -> str:
    if check.updates is None:
        return (
            "No number of further updates closes the gap: the statistics do "
            "not move (a momentum of 1, or a frozen layer)."
        )
    if not check.updates:
        return "The statistics of the batch would not make the gap smaller."
    after = ""
    if not math.isnan(check.simulated_loss):
        loss = f"{check.simulated_loss:.4g}"
        after = (
            " (simulated one by one: the loss in inference mode is then "
            f"{loss})"
        )
    updates, closes = "updates", "close"
    if check.updates == 1:
        updates, closes = "update", "closes"
    return (
        f"{check.updates} further {updates} of the moving statistics, at these "
        f"weights, {closes} {check.closed:.0%} of the gap{after}."
    )


def text(check: Check) -> str:
    """Format a check as text, the verdict first."""
    lines = [paragraph(verdict(check), "")]
    if not math.isnan(check.statistics_loss):
        lines.append(
            paragraph(
                "With the statistics of this batch in all batch norms, the "
                f"loss in inference mode is {check.statistics_loss:.4g}."
            )
        )
    if not check.layers:
        lines.append("  No layer computes anything different in training mode.")
        return "\n".join(lines)
    names = [printable(layer.layer) for layer in check.layers]
    # The indentation of two and five cells of ten characters leave 28 of 80
    # columns to the name.
    width = min(max(map(len, [*names, "layer"])), 28)
    heads = ("alone", "share", "repaired", "mean", "variance")
    lines += [
        "",
        f"  {'layer':{width}}" + "".join(f"{head:>10}" for head in heads),
    ]
    for name, layer in zip(names, check.layers, strict=True):
        cells = (
            f"{layer.alone:.4g}",
            "-" if math.isnan(layer.share) else f"{layer.share:.0%}",
            f"{layer.repaired:.4g}",
            _distance(layer.mean_distance),
            _distance(layer.variance_distance),
        )
        name = name if len(name) <= width else f"…{name[1 - width :]}"
        lines.append(f"  {name:{width}}" + "".join(f"{c:>10}" for c in cells))
    lines += [
        "",
        paragraph(
            "alone: the training loss if only this layer is in inference mode; "
            "share: its share of the gap; repaired: the inference loss if only "
            "this layer is in training mode; mean, variance: distance of the "
            "moving statistics from those of the batch (in standard "
            "deviations, and as |ln| of the ratio)."
        ),
    ]
    return "\n".join(lines)


def _distance(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2g}"
