"""Describes a training as a whole for `/curves`: losses, rates and epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope_plugin.runs import record_parts

if TYPE_CHECKING:
    from gradscope.reading.record import Record

#: Statistics of a step as a whole that have a curve.
NAMES = (
    "loss",
    "learning_rate",
    "global_gradient_norm",
    "loss_scale",
    "skipped",
)


def describe(record: Record, after: int = -1, mark: int = -1) -> dict:
    """Describe the steps after a step, and all epochs.

    Args:
        record: The record; families other than `run` are not used.
        after: The last step of an earlier reply.
        mark: The mark of that reply. If the steps up to `after` have changed
            since, all steps are described.
    """
    if record_parts.mark(record, after) != mark:
        after = -1
    start = int(np.searchsorted(record.steps, after, side="right"))
    last = int(record.steps[-1]) if len(record.steps) else -1
    return {
        "start": start,
        "total": len(record.steps),
        "mark": record_parts.mark(record, last),
        "steps": record.steps[start:].tolist(),
        "curves": {
            name: [_rounded(number) for number in record[name][start:]]
            for name in NAMES
            if _is_known(record, name)
        },
        "epochs": [
            {
                "step": log.step,
                "epoch": log.epoch,
                "values": {
                    name: _rounded(number)
                    for name, number in log.values.items()
                },
            }
            for log in record.logs
        ],
    }


def _is_known(record, name: str) -> bool:
    """Test whether a statistic was recorded; a loss may be NaN throughout."""
    if name not in record.statistics:
        return False
    is_loss = name == "loss" and record.schema.loss_is_known is True
    return is_loss or not np.isnan(record[name]).all()


def _rounded(number: float) -> float:
    # A curve has no more digits than these, and the text is half as long.
    return float(f"{number:.6g}")
