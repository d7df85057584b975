"""Scalars, findings and report for Weights & Biases.

A number gets the step as a metric of its own, `gradscope/step`: W&B drops what
is logged with a smaller step than the last, and the user's own code may be
ahead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import wandb


def create() -> WandbMirror:
    """Make a mirror to the active run."""
    return WandbMirror()


class WandbMirror:
    """Logs to the run of `wandb.init`, which must have begun."""

    def __init__(self) -> None:
        self._run: Any = None

    def log_scalars(self, step: int, numbers: Mapping[str, float]) -> None:
        """Log the scalars of a step."""
        self._active_run().log({"gradscope/step": step, **numbers})

    def log_findings(
        self, step: int, text: str, counts: Mapping[str, float]
    ) -> None:
        """Log the findings as a panel of text, and their numbers."""
        run = self._active_run()
        run.log({"gradscope/step": step, **counts})
        if text:
            # The text of the panel is HTML.
            html = text.replace("&", "&amp;").replace("<", "&lt;")
            panel = wandb.Html(f"<pre>{html}</pre>", inject=False)
            run.log({"gradscope/findings": panel})

    def log_report(self, html: str) -> None:
        """Log the report as a version of the artifact of the run."""
        run = self._active_run()
        artifact = wandb.Artifact(f"gradscope-{run.id}", type="report")
        with artifact.new_file("report.html", encoding="utf-8") as file:
            file.write(html)
        run.log_artifact(artifact)

    def _active_run(self) -> Any:
        if wandb.run is None:
            raise RuntimeError(
                "no run is active: call `wandb.init` before `fit`"
            )
        if wandb.run is not self._run:
            self._run = wandb.run
            self._run.define_metric("gradscope/step", hidden=True)
            self._run.define_metric("gradscope/*", step_metric="gradscope/step")
        return self._run
