"""Findings as HTML, for the end of a notebook's cell."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import TYPE_CHECKING

from gradscope.diagnosis.evidence_text import evidence

if TYPE_CHECKING:
    from gradscope.diagnosis.finding import Finding

# Readable on light and on dark paper.
_COLORS = {"error": "#d6453d", "warning": "#b97a00", "note": "#3b82c4"}


def list_to_html(findings: Iterable[Finding]) -> str:
    """Format findings as HTML, worst first as they are."""
    parts = [to_html(finding) for finding in findings]
    return "".join(parts) or "<p>nothing found</p>"


def to_html(finding: Finding) -> str:
    """Format a finding as HTML; cause and remedy are behind a click."""
    layer = finding.layer
    where = f" in <code>{html.escape(layer)}</code>" if layer else ""
    parts = (
        ("Why", finding.cause),
        ("What to do", finding.remedy),
        ("Evidence", evidence(finding)),
    )
    more = "".join(
        f"<p><b>{title}:</b> {_with_code(text)}</p>"
        for title, text in parts
        if text
    )
    color = _COLORS[finding.severity]
    return (
        f"<div style='border-left:4px solid {color};padding-left:8px;"
        "margin:6px 0'>"
        f"<b style='color:{color}'>{finding.severity}:</b> "
        f"<b>{html.escape(finding.kind)}</b>{where}, {finding.since}<br>"
        f"{_with_code(finding.what)}."
        f"<details><summary>why, what to do</summary>{more}</details></div>"
    )


def _with_code(text: str) -> str:
    """Escape a text, with code where it is between backquotes."""
    parts = html.escape(text).split("`")
    if len(parts) % 2 == 0:  # a backquote that is part of a name
        return html.escape(text)
    return "".join(
        f"<code>{part}</code>" if index % 2 else part
        for index, part in enumerate(parts)
    )
