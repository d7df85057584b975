"""The evidence of a finding in a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradscope.terminal import printable

if TYPE_CHECKING:
    from gradscope.diagnosis.finding import EvidenceValue, Finding


def evidence(finding: Finding) -> str:
    """Format the evidence in one line, as in `ratio 0.002 (limit 0.01)`.

    Undefined numbers (NaN) are left out.
    """
    entries = []
    for name, value in finding.evidence.items():
        # A limit is shown with its number; NaN differs from itself.
        if name.endswith("_limit") or value is None or value != value:
            continue
        limit = finding.evidence.get(f"{name}_limit")
        words = name.replace("_", " ")
        shown = f"{words} {_value(value)}"
        entries.append(shown + (f" (limit {limit:.4g})" if limit else ""))
    return printable("; ".join(entries))


def _value(value: EvidenceValue) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value[:5])) + (
            f" and {len(value) - 5} more" if len(value) > 5 else ""
        )
    return f"{value:.4g}" if isinstance(value, float) else str(value)
