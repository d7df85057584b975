"""One run of a report: its summary, size and steps, and the routes."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
from tensorboard.context import RequestContext

from gradscope_plugin.replies import histograms
from gradscope_plugin.report import routes, thinning
from gradscope_plugin.report.file_provider import EXPERIMENT, FileProvider
from gradscope_plugin.report.routes import RouteClient
from gradscope_plugin.report.thinning import Size
from gradscope_plugin.runs import run_data

if TYPE_CHECKING:
    from gradscope_plugin.runs.summary import Summary

#: Rows of a histogram.
_BUCKETS = 257


def sources(name: str, directory: str) -> list[RunSource]:
    """Read the files of a run; return it, and earlier trainings in them.

    Args:
        name: The run's name, as TensorBoard has it.
        directory: The directory with its event files.
    """
    files = FileProvider(name, directory)
    runs = run_data.Runs(files)
    client = RouteClient(files)
    return [
        RunSource(summary, runs, client, files)
        for summary in runs.list_runs(RequestContext(), EXPERIMENT)
    ]


class RunSource:
    """A run, read from its files.

    Args:
        summary: Its summary for `/runs`.
        runs: Reads the runs of the same files.
        client: Asks the plugin's routes.
        files: The files.

    Attributes:
        summary: Its summary.
        described: All fields of `/runs`; None if it cannot be read.
        client: Asks the plugin's routes.
    """

    def __init__(
        self,
        summary: Summary,
        runs: run_data.Runs,
        client: RouteClient,
        files: FileProvider,
    ):
        self.summary = summary
        self.client = client
        self._name = summary.fields["name"]
        self._runs = runs
        self._files = files
        fields = summary.all_fields
        self.described = None if "error" in fields else fields

    @property
    def _record(self):
        # The runs have it in their cache.
        return self._runs.record(
            RequestContext(), EXPERIMENT, self._name, "variables"
        )

    @functools.cached_property
    def size(self) -> Size:
        """How much the run has to show."""
        if self.described is None:
            return Size(0, {}, {"units": 0, "histograms": 0})
        numbers: dict[str, int] = {}
        for route in routes.ROUTES:
            if route.path == "matrix":
                count = sum(
                    self._rows(query["rows"])
                    for query in route.queries(self.described, self.client)
                )
                numbers[route.part] = numbers.get(route.part, 0) + count
        tags = self._files.list_tensors(
            RequestContext(),
            experiment_id=EXPERIMENT,
            plugin_name=histograms.PLUGIN,
        ).get(self._name, ())
        numbers["histograms"] = len(tags) * _BUCKETS
        return Size(
            len(self._record.steps),
            numbers,
            {
                "units": len(self._unit_steps()),
                "histograms": self._files.most_points(tags),
            },
        )

    def _rows(self, kind: str) -> int:
        """Count the rows of a kind."""
        if kind == "layers":
            return len(self.described["layers"])
        family = {"units": "units", "state": "states"}.get(kind, kind)
        return len(self._record.schema.rows(family))

    def _unit_steps(self) -> np.ndarray:
        record = self._runs.record(
            RequestContext(), EXPERIMENT, self._name, "units"
        )
        return record.occasional("units")[0]

    def choose_steps(self, most: int | None) -> np.ndarray:
        """Choose the steps that a report shows, int64 `[T]`.

        Args:
            most: How many there may be; None for all.
        """
        record = self._record
        if most is None:
            return record.steps
        reply = self.client.json_of("findings", {"run": self._name})
        marked = [s for finding in reply["findings"] for s in finding["steps"]]
        return record.steps[thinning.choose_steps(record, most, marked)]
