"""Scalars, findings and report for ClearML.

ClearML replaces TensorFlow's summary writers to see what they write. gradscope
uses none of these writers.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import clearml


def create() -> ClearmlMirror:
    """Make a mirror to the active task."""
    return ClearmlMirror()


class ClearmlMirror:
    """Logs to the task of `Task.init`, which must have begun."""

    def log_scalars(self, step: int, numbers: Mapping[str, float]) -> None:
        """Log the scalars of a step, each as a chart of its own."""
        logger = _logger()
        for tag, number in numbers.items():
            logger.report_scalar(tag, tag.rpartition("/")[2], number, step)

    def log_findings(
        self, step: int, text: str, counts: Mapping[str, float]
    ) -> None:
        """Log the findings as a text file, and their numbers as scalars."""
        self.log_scalars(step, counts)
        _log_file("findings", ".md", text or "nothing found")

    def log_report(self, html: str) -> None:
        """Log the report as an HTML file."""
        _log_file("report", ".html", html)


def _log_file(name: str, ending: str, text: str) -> None:
    _logger().report_media(
        "gradscope", name, stream=io.StringIO(text), file_extension=ending
    )


def _logger() -> Any:
    task = clearml.Task.current_task()
    if task is None:
        raise RuntimeError("no task is active: call `Task.init` before `fit`")
    return task.get_logger()
