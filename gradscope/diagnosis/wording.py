"""Construction of findings, and phrases that several rules use."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from gradscope.diagnosis.finding import SEVERITIES, EvidenceValue, Finding
from gradscope.diagnosis.kinds import KINDS
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
    evidence: Mapping[str, EvidenceValue],
    cause: str,
    remedy: str,
) -> Finding:
    """Make a finding about a spell of recorded steps.

    Args:
        view: The run.
        kind: Name of a kind that was declared.
        severity: `"error"`, `"warning"` or `"note"`; the kind's ceiling if
            it is worse than that, and a note where the training went well
            and the kind is one that then did no harm.
        layer: Name of the layer, or None.
        spell: Recorded steps with the fault; None means all of the run.
        what: Description of the fault, one sentence without a full stop.
        evidence: Numbers by name; see `Finding`.
        cause: The likely cause.
        remedy: Advice, with code between backquotes.
    """
    if KINDS[kind].is_note_if_learned and view.went_well:
        severity = "note"
    spell = spell or Spell(0, view.count, view.count)
    steps = view.steps[[spell.start, spell.stop - 1]]
    return Finding(
        kind=kind,
        severity=max(severity, KINDS[kind].ceiling, key=SEVERITIES.index),
        run=view.run,
        layer=layer,
        steps=(int(steps[0]), int(steps[1])),
        what=plain_numbers(what),
        evidence={k: _number(v) for k, v in evidence.items()},
        cause=plain_numbers(cause),
        remedy=plain_numbers(remedy),
        until_the_end=spell.until_the_end,
    )


def code(name: str) -> str:
    """Put a name between backquotes, which the page shows as code."""
    return f"`{name}`"


def join_code(names: list[str]) -> str:
    """Join names between backquotes: `` `a`, `b`, `c` and 4 more ``."""
    return join_words([code(name) for name in names])


def join_words(names: list[str], max_names: int = 3) -> str:
    """Join names for a sentence: `a, b, c and 4 more`.

    Args:
        names: Names; one that is repeated counts once.
        max_names: Number of names to spell out; one more is spelled out too,
            rather than counted.
    """
    names = list(dict.fromkeys(names))
    if len(names) > max_names + 1:
        return (
            f"{', '.join(names[:max_names])} and {len(names) - max_names} more"
        )
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def percent(share: float) -> str:
    """Format a share in percent: `0.25` as `25 %`."""
    return f"{100 * share:.0f} %"


def plain_numbers(text: str) -> str:
    """Write numbers below a million without an exponent.

    Examples:
        >>> plain_numbers("values from 0.5 to 4.25e+03, and 1e-08")
        'values from 0.5 to 4250, and 1e-08'
    """
    return re.sub(
        r"\b\d(\.\d+)?e\+0[1-5]\b", lambda match: f"{float(match[0]):.0f}", text
    )


def _number(value: EvidenceValue) -> EvidenceValue:
    """Convert a number of numpy's to one of Python's."""
    if isinstance(value, np.generic):
        number: float = value.item()
        return number
    return value
