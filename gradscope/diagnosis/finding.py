"""A finding: a fault of a run, with its place, steps, cause and remedy."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TypeAlias

from gradscope.diagnosis import finding_html
from gradscope.diagnosis.kinds import KINDS

#: Type of a number or text of the evidence, or a list of them.
EvidenceValue: TypeAlias = "float | str | bool | Sequence[float | str] | None"

#: Severities, worst first. A healthy run gets notes at most.
SEVERITIES = ("error", "warning", "note")


@dataclasses.dataclass(frozen=True)
class Finding:
    """One fault of a run.

    Attributes:
        kind: Name of its kind, one of `gradscope.diagnosis.kinds.KINDS`.
        severity: `"error"`: the network cannot learn like this; `"warning"`:
            it learns worse than it could; `"note"`: worth knowing.
        run: Name or directory of the run.
        layer: Name of the layer, or None for a fault of the run as such.
        steps: First and last recorded step with the fault.
        what: Description of the fault, one sentence without a full stop.
        evidence: Numbers by name, with the limits (`..._limit`) that they
            crossed. `symptoms` lists the findings that this one explains.
        cause: The likely cause, and other possible ones.
        remedy: Advice, with code between backquotes.
        until_the_end: Whether the last recorded step has the fault.

    Examples:
        >>> finding = Finding(
        ...     kind="dead-relu",
        ...     severity="error",
        ...     run="logs/run",
        ...     layer="dense",
        ...     steps=(340, 520),
        ...     what="All units of dense are dead",
        ...     evidence={"dead_fraction": 1.0},
        ...     cause="The learning rate is too large.",
        ...     remedy="Lower it.",
        ... )
        >>> finding.message
        'All units of dense are dead (since step 340). The learning rate is too
        large. Lower it.'
        >>> finding
        <error: dead-relu in dense, since step 340>
    """

    kind: str
    severity: str
    run: str
    layer: str | None
    steps: tuple[int, int]
    what: str
    evidence: dict[str, EvidenceValue]
    cause: str
    remedy: str
    until_the_end: bool = True

    def __repr__(self) -> str:
        where = f" in {self.layer}" if self.layer else ""
        return f"<{self.severity}: {self.kind}{where}, {self.since}>"

    def _repr_html_(self) -> str:
        return finding_html.to_html(self)

    @property
    def since(self) -> str:
        """The steps in words: `"since step 340"`, `"from step 340 to 520"`."""
        first, last = self.steps
        if self.until_the_end:
            return f"since step {first}" if first else "from the first step on"
        if first == last:
            return f"in step {first}"
        return f"from step {first} to {last}"

    @property
    def message(self) -> str:
        """Fault, steps, cause and remedy in one paragraph."""
        parts = (f"{self.what} ({self.since}).", self.cause, self.remedy)
        return " ".join(part for part in parts if part)

    def to_dict(self) -> dict[str, object]:
        """Convert the finding to the dict of `gradscope diagnose --json`.

        Numbers that JSON does not have (NaN, infinities) become None.
        """
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
    def rank(self) -> tuple[int, int, int]:
        """Sort key that puts the worst finding first."""
        return (
            SEVERITIES.index(self.severity),
            KINDS[self.kind].rank,
            self.steps[0],
        )


class FindingList(list[Finding]):
    """The findings of a run: a list that a notebook shows in words."""

    def __repr__(self) -> str:
        return f"[{(',' + chr(10) + ' ').join(map(repr, self))}]"

    def _repr_html_(self) -> str:
        return finding_html.list_to_html(self)


def _plain(value: EvidenceValue) -> object:
    """Convert a value to one that JSON has."""
    if isinstance(value, str | bool | None):
        return value
    if isinstance(value, Sequence):
        return [_plain(v) for v in value]
    # NaN and infinities are no JSON.
    number = float(value)
    return number if math.isfinite(number) else None
