"""What a `fit` logs at the end of an epoch: its losses and metrics, as JSON.

They are written under the tag `gradscope/logs/<schema id>`, one event an epoch;
this needs no TensorFlow.
"""

from __future__ import annotations

import dataclasses
import json

import numpy as np

from gradscope.format.step_order import in_order as still_in_order

#: What reading damaged text can raise.
_DAMAGE = (AttributeError, KeyError, OverflowError, TypeError, ValueError)


@dataclasses.dataclass(frozen=True)
class Log:
    """The logs of one epoch.

    Attributes:
        step: The optimizer's step then: the number of the next one.
        epoch: As `fit` counts, from 0 in each `fit`.
        values: As in `{"loss": 0.5, "val_loss": 0.6}`; numbers alone.
    """

    step: int
    epoch: int
    values: dict[str, float]

    def to_json(self) -> str:
        """Returns the text that `from_json` reads."""
        return json.dumps(
            {"epoch": self.epoch, "step": self.step, "logs": self.values}
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> Log | None:
        """Returns what `to_json` wrote, None of damaged text."""
        try:
            data = json.loads(text)
            values = {str(k): float(v) for k, v in data["logs"].items()}
            return cls(int(data["step"]), int(data["epoch"]), values)
        except (*_DAMAGE, RecursionError):
            return None


def numbers(logs) -> dict[str, float]:
    """Returns those of the logs of a `fit` that are one number: floats, and
    tensors of tf_keras."""
    found = {}
    for name, value in (logs or {}).items():
        try:
            array = np.asarray(value)
            if array.size == 1 and array.dtype.kind in "biuf":
                found[str(name)] = float(array.reshape(()))
        except Exception:  # a metric of the user's own may be anything
            continue
    return found


def in_order(texts: list) -> tuple[Log, ...]:
    """Returns the logs of texts in the order of writing, without those that
    are damaged, or of steps that were made again."""
    read = [Log.from_json(text) for text in texts]
    return still_valid([log for log in read if log is not None])


def still_valid(logs: list[Log]) -> tuple[Log, ...]:
    """Returns logs in order, without those of steps that were made again."""
    return tuple(logs[i] for i in still_in_order([log.step for log in logs]))
