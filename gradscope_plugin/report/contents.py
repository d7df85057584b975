"""Gathers the replies of the plugin's routes for a report, run by run."""

from __future__ import annotations

import dataclasses
import datetime
from typing import TYPE_CHECKING

import numpy as np

import gradscope
from gradscope_plugin.report import omissions, routes, run_source, thinning
from gradscope_plugin.report.packing import Archive
from gradscope_plugin.report.routes import Refused
from gradscope_plugin.runs import summary

if TYPE_CHECKING:
    from gradscope_plugin.report.routes import Matrix
    from gradscope_plugin.report.run_source import RunSource
    from gradscope_plugin.report.thinning import Plan, Size

# A file of base64 has four bytes for three. The estimates of `thinning` are of
# the file.
BASE64 = 4 / 3


class ReportContents:
    """A report in the making.

    Args:
        planned: The plan of its contents.
    """

    def __init__(self, planned: Plan):
        self._plan = planned
        self._archive = Archive()
        self._summaries = []
        self._thinned = 0
        self.sizes: list[Size] = []

    def add(self, name: str, directory: str) -> None:
        """Read a run, and add all its replies."""
        for run in run_source.sources(name, directory):
            self._add_run(run)

    def _add_run(self, run: RunSource) -> None:
        self.sizes.append(run.size)
        if run.described is None:
            self._summaries.append(run.summary)
            return
        steps = run.choose_steps(self._plan.steps)
        self._thinned += len(steps) < run.size.steps
        fields = {**run.summary.fields, "steps": len(steps)}
        self._summaries.append(dataclasses.replace(run.summary, fields=fields))
        for route in routes.ROUTES:
            if route.part in self._plan.left_out:
                continue
            for query in route.queries(run.described, run.client):
                query = {"run": run.described["name"], **query}
                self._add_reply(run, route, query, steps)

    def _add_reply(self, run, route, query, steps) -> None:
        key = routes.key_of(route.path, query)
        try:
            if route.is_json:
                body = run.client.bytes_of(route.path, query)
                if route.thin and self._plan.steps is not None:
                    body = route.thin(body, steps)
                self._archive.add_json(key, body)
                return
            matrix = run.client.matrix_of(route.path, query)
        except Refused as error:
            self._archive.add_error(key, str(error))
            return
        self._archive.add_matrix(
            key, self._thin(matrix, steps), rounded=self._plan.rounded
        )

    def _thin(self, matrix: Matrix, steps: np.ndarray) -> Matrix:
        if self._plan.steps is None:
            return matrix
        # What only some steps have lacks some of the chosen ones; its own steps
        # are thinned evenly instead.
        if np.isin(steps, matrix.steps).all():
            return matrix.select(np.isin(matrix.steps, steps))
        return matrix.select(thinning.evenly(len(matrix.steps), thinning.RARE))

    @property
    def runs(self) -> tuple[str, ...]:
        """Names of the runs."""
        return tuple(summary.fields["name"] for summary in self._summaries)

    @property
    def unreadable(self) -> dict[str, str]:
        """The runs that cannot be shown, and why."""
        fields = [summary.fields for summary in self._summaries]
        return {f["name"]: f["error"] for f in fields if "error" in f}

    @property
    def file_bytes(self) -> float:
        """Bytes of the replies in the file."""
        return self._archive.size * BASE64

    def to_bytes(self, title: str) -> bytes:
        """Return the archive of the report."""
        key = routes.key_of("runs", {})
        self._archive.add_json(key, summary.to_json(self._summaries).encode())
        return self._archive.to_bytes(
            {
                "title": title,
                "version": gradscope.__version__,
                "written": datetime.datetime.now().isoformat(" ", "minutes"),
                "runs": self.runs,
                "brief": self.brief(),
                "notes": self.notes(),
            }
        )

    def brief(self) -> str:
        """Say in a few words how complete the report is."""
        if self._thinned:
            return f"thinned out to {self._plan.steps} steps a run"
        rounded = ", rounded to three digits" if self._plan.rounded else ""
        lost = omissions.lost_in([item.fields for item in self._summaries])
        return f"all recorded steps{rounded}{f', {lost}' if lost else ''}"

    def notes(self) -> list[str]:
        """Describe the omissions of the report, in sentences."""
        return [
            *omissions.of_plan(self._plan, self.sizes, self._thinned),
            *omissions.of_runs([summary.fields for summary in self._summaries]),
        ]
