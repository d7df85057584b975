"""Scalars, findings and report for MLflow."""

from __future__ import annotations

from collections.abc import Mapping

import mlflow


def create() -> MlflowMirror:
    """Make a mirror to the active run."""
    return MlflowMirror()


class MlflowMirror:
    """Logs to the active run; MLflow begins one if there is none."""

    def log_scalars(self, step: int, numbers: Mapping[str, float]) -> None:
        """Log the scalars of a step as metrics."""
        mlflow.log_metrics(dict(numbers), step=step)

    def log_findings(
        self, step: int, text: str, counts: Mapping[str, float]
    ) -> None:
        """Log the findings as a text, and their numbers as metrics."""
        mlflow.log_metrics(dict(counts), step=step)
        mlflow.log_text(text or "nothing found", "gradscope/findings.md")

    def log_report(self, html: str) -> None:
        """Log the report as an artifact."""
        mlflow.log_text(html, "gradscope/report.html")
