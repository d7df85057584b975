"""A finding: what is wrong, where, since when, why, and what to do."""

from __future__ import annotations

import dataclasses
import math

#: Worst first. Of a healthy run there is at most a note.
SEVERITIES = ("error", "warning", "note")

#: Every kind of finding; a closed vocabulary, whose names stay.
KINDS = (
    "non-finite",
    "zero-init",
    "symmetric-units",
    "single-unit-softmax",
    "softmax-axis",
    "constant-labels",
    "output-range",
    "relu-output",
    "hidden-softmax",
    "missing-nonlinearity",
    "disconnected-variable",
    "loss-diverges",
    "learning-rate",
    "exploding-gradient",
    "init-too-large",
    "init-too-small",
    "vanishing-gradient",
    "dead-relu",
    "saturated-activation",
    "zero-gradient",
    "unscaled-input",
    "unscaled-target",
    "dropout-keep-prob",
    "penalty-dominates",
    "batchnorm-statistics",
    "shared-batchnorm",
    "train-inference-mismatch",
    "update-too-large",
    "update-too-small",
    "loss-metric-disagree",
    "unordered-sums",
)


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a run.

    Attributes:
        kind: One of `KINDS`.
        severity: `"error"`: the network cannot learn like this; `"warning"`:
            it learns worse than it could; `"note"`: worth knowing.
        run: Name or directory of the run.
        layer: Name of the layer; None if it is of the whole run.
        steps: First and last recorded step in which it was seen.
        what: What was seen, one sentence.
        evidence: The numbers, with the limits (`..._limit`) that they crossed,
            and `symptoms`: what else was found and follows from this.
        cause: The likely cause, and what it could be besides.
        remedy: What to do; code stands between backquotes.
        until_the_end: Whether it was still there in the last recorded step.
    """

    kind: str
    severity: str
    run: str
    layer: str | None
    steps: tuple[int, int]
    what: str
    evidence: dict
    cause: str
    remedy: str
    until_the_end: bool = True

    @property
    def since(self) -> str:
        """When, in words: `"since step 340"`, `"from step 340 to 520"`."""
        first, last = self.steps
        if self.until_the_end:
            return f"since step {first}" if first else "from the first step on"
        if first == last:
            return f"in step {first}"
        return f"from step {first} to {last}"

    @property
    def message(self) -> str:
        """All this in one paragraph."""
        parts = (f"{self.what} ({self.since}).", self.cause, self.remedy)
        return " ".join(part for part in parts if part)

    def to_dict(self) -> dict:
        """Returns what `gradscope diagnose --json` prints; numbers that JSON
        does not have (NaN, infinities) are null."""
        return {
            "kind": self.kind,
            "severity": self.severity,
            "run": self.run,
            "layer": self.layer,
            "steps": list(self.steps),
            "until_the_end": self.until_the_end,
            "what": self.what,
            "evidence": {k: _plain(v) for k, v in self.evidence.items()},
            "cause": self.cause,
            "remedy": self.remedy,
            "message": self.message,
        }

    @property
    def rank(self) -> tuple:
        """Sorts the worst to the front."""
        return (
            SEVERITIES.index(self.severity),
            KINDS.index(self.kind),
            self.steps[0],
        )


def _plain(value):
    if isinstance(value, str | bool | None):
        return value
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    value = float(value)
    return value if math.isfinite(value) else None
