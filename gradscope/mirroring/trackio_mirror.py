"""Scalars, findings and report for Trackio, which reads event files, too, but
only scalars of TensorFlow 1's form."""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Mapping

import trackio


def create() -> TrackioMirror:
    """Make a mirror to the active run."""
    return TrackioMirror()


class TrackioMirror:
    """Logs to the run of `trackio.init`, which must have begun."""

    def log_scalars(self, step: int, numbers: Mapping[str, float]) -> None:
        """Log the scalars of a step."""
        trackio.log(dict(numbers), step=step)

    def log_findings(
        self, step: int, text: str, counts: Mapping[str, float]
    ) -> None:
        """Log the findings as Markdown, and their numbers as scalars."""
        markdown = trackio.Markdown(text or "nothing found")
        trackio.log({**counts, "gradscope/findings": markdown}, step=step)

    def log_report(self, html: str) -> None:
        """Log the report as a version of the artifact `gradscope`."""
        artifact = trackio.Artifact("gradscope", type="report")
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory, "report.html")
            path.write_text(html, encoding="utf-8")
            artifact.add_file(str(path))
            trackio.log_artifact(artifact)
