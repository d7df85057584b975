"""Scalars, findings and report for SwanLab.

Its converter of event files takes every tensor for a scalar, and ends at the
first histogram, whoever wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping

import swanlab


def create() -> SwanlabMirror:
    """Make a mirror to the active run."""
    return SwanlabMirror()


class SwanlabMirror:
    """Logs to the run of `swanlab.init`, which must have begun."""

    def __init__(self) -> None:
        self._last_step = 0

    def log_scalars(self, step: int, numbers: Mapping[str, float]) -> None:
        """Log the scalars of a step."""
        swanlab.log(dict(numbers), step=step)
        self._last_step = step

    def log_findings(
        self, step: int, text: str, counts: Mapping[str, float]
    ) -> None:
        """Log the findings as a text, and their numbers as scalars."""
        findings = swanlab.Text(text or "nothing found")
        self.log_scalars(step, counts)
        swanlab.log({"gradscope/findings": findings}, step=step)

    def log_report(self, html: str) -> None:
        """Log the report as a page, at the step of the findings."""
        page = swanlab.Html(html)
        swanlab.log({"gradscope/report": page}, step=self._last_step)
