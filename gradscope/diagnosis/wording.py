"""What all rules use to speak of a run."""

from __future__ import annotations

import numpy as np

from gradscope.diagnosis.finding import Finding
from gradscope.diagnosis.spells import Spell
from gradscope.diagnosis.view import View


def finding(
    view: View,
    kind: str,
    severity: str,
    layer: str | None,
    spell: Spell | None,
    *,
    what: str,
    evidence: dict,
    cause: str,
    remedy: str,
) -> Finding:
    """Returns a finding about the recorded steps of a spell; without one,
    about all of the run."""
    spell = spell or Spell(0, view.count, view.count)
    steps = view.steps[[spell.start, spell.stop - 1]]
    return Finding(
        kind=kind,
        severity=severity,
        run=view.run,
        layer=layer,
        steps=(int(steps[0]), int(steps[1])),
        what=what,
        evidence={k: _number(v) for k, v in evidence.items()},
        cause=cause,
        remedy=remedy,
        until_the_end=spell.until_the_end,
    )


def several(names: list[str], most: int = 3) -> str:
    """Returns names in a sentence: `a, b, c and 4 more`."""
    names = list(dict.fromkeys(names))
    if len(names) > most + 1:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def percent(share: float) -> str:
    """Returns a share in percent."""
    return f"{100 * share:.0f} %"


def _number(value):
    if isinstance(value, np.generic):
        return value.item()
    return value
