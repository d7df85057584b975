"""The losses and metrics that `fit` logs at the end of an epoch, as JSON.

They are written under the tag `gradscope/logs/<schema id>`, one event an epoch.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from gradscope.format import step_order

#: The exceptions that damaged text can cause.
_DAMAGE = (AttributeError, KeyError, OverflowError, TypeError, ValueError)


@dataclasses.dataclass(frozen=True)
class Log:
    """The logs of one epoch.

    Attributes:
        step: The optimizer's step number after the epoch.
        epoch: The epoch's number as `fit` counts, from 0 in each `fit`.
        values: Numbers by name, as in `{"loss": 0.5, "val_loss": 0.6}`.
    """

    step: int
    epoch: int
    values: dict[str, float]

    def to_json(self) -> str:
        """Serialize the logs for `from_json`."""
        return json.dumps(
            {"epoch": self.epoch, "step": self.step, "logs": self.values}
        )

    @classmethod
    def from_json(cls, text: str | bytes | None) -> Log | None:
        """Parse text of `to_json`; None if the text is damaged."""
        try:
            data = json.loads(text)  # type: ignore[arg-type]
            values = {str(k): float(v) for k, v in data["logs"].items()}
            return cls(int(data["step"]), int(data["epoch"]), values)
        except (*_DAMAGE, RecursionError):
            return None


def numbers(logs: Mapping[str, Any] | None) -> dict[str, float]:
    """Select the logs of a `fit` that are one number.

    Such logs are floats in Keras, and may be scalar tensors in tf_keras.

    Examples:
        >>> numbers({"loss": 0.5, "confusion": [[3, 1], [0, 2]], "name": "a"})
        {'loss': 0.5}
    """
    scalars = {}
    for name, value in (logs or {}).items():
        try:
            array = np.asarray(value)
            if array.size == 1 and array.dtype.kind in "biuf":
                scalars[str(name)] = float(array.reshape(()))
        except Exception:  # a user's own metric can be any object
            continue
    return scalars


def parse_logs(texts: Iterable[str | bytes | None]) -> tuple[Log, ...]:
    """Parse texts in the order of writing.

    Damaged texts and logs of steps that were made again are left out.
    """
    parsed = [Log.from_json(text) for text in texts]
    return valid_logs([log for log in parsed if log is not None])


def valid_logs(logs: list[Log]) -> tuple[Log, ...]:
    """Select the logs that no later log replaces, in order of steps."""
    steps = [log.step for log in logs]
    return tuple(logs[i] for i in step_order.valid_indices(steps))
