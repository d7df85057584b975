"""Hands the event files of one run to the plugin, in TensorBoard's place."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING

import numpy as np
from tensorboard.data import provider

from gradscope.reading import event_files

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tensorboard.context import RequestContext

#: Experiment of the runs; TensorBoard's own is called so, too.
EXPERIMENT = ""


class FileProvider(provider.DataProvider):
    """A data provider of one run; it reads all files at once, and only once.

    Unlike TensorBoard it keeps all points, in the order in which they were
    written.

    Args:
        run: Name of the run.
        directory: The directory with its event files.
    """

    def __init__(self, run: str, directory: str):
        self._run = run
        self._points = collections.defaultdict(list)
        # Only a tag's first point need have the metadata.
        self._metadata = {}
        for path in event_files.event_files(directory):
            for event in event_files.events(path):
                for value in event.summary.value:
                    self._add(event, value)

    def _add(self, event, value) -> None:
        self._metadata.setdefault(value.tag, value.metadata)
        try:
            array = event_files.to_numpy(value.tensor)
        except ValueError:
            return  # only this value is damaged
        self._points[value.tag].append((event.step, event.wall_time, array))

    def list_runs(self, ctx: RequestContext, *, experiment_id: str) -> list:
        """List the run."""
        return [
            provider.Run(run_id=self._run, run_name=self._run, start_time=0)
        ]

    def list_tensors(
        self,
        ctx: RequestContext,
        *,
        experiment_id: str,
        plugin_name: str,
        run_tag_filter: provider.RunTagFilter | None = None,
    ) -> dict[str, dict[str, provider.TensorTimeSeries]]:
        """List the tags of a plugin."""
        tags = self._tags(plugin_name, run_tag_filter)
        if not tags:
            return {}
        return {self._run: {tag: self._describe(tag) for tag in tags}}

    def _describe(self, tag) -> provider.TensorTimeSeries:
        return provider.TensorTimeSeries(
            max_step=max(step for step, _, _ in self._points[tag]),
            max_wall_time=max(time for _, time, _ in self._points[tag]),
            plugin_content=self._metadata[tag].plugin_data.content,
            description="",
            display_name="",
        )

    def read_tensors(
        self,
        ctx: RequestContext,
        *,
        experiment_id: str,
        plugin_name: str,
        downsample: int | None = None,
        run_tag_filter: provider.RunTagFilter | None = None,
    ) -> dict[str, dict[str, list[provider.TensorDatum]]]:
        """Read all points of some tags; nothing is sampled away."""
        return {
            self._run: {
                tag: [
                    provider.TensorDatum(step, time, _as_array(value))
                    for step, time, value in self._points[tag]
                ]
                for tag in self._tags(plugin_name, run_tag_filter)
            }
        }

    def most_points(self, tags: Iterable[str]) -> int:
        """Count the points of that tag which has the most."""
        return max((len(self._points[tag]) for tag in tags), default=0)

    def list_scalars(
        self,
        ctx: RequestContext,
        *,
        experiment_id: str,
        plugin_name: str,
        run_tag_filter: provider.RunTagFilter | None = None,
    ) -> dict:
        """List no scalars: the page needs none."""
        return {}

    def read_scalars(
        self,
        ctx: RequestContext,
        *,
        experiment_id: str,
        plugin_name: str,
        downsample: int | None = None,
        run_tag_filter: provider.RunTagFilter | None = None,
    ) -> dict:
        """Read no scalars.

        The plugin counts with them the histograms that TensorBoard dropped,
        and here none was.
        """
        return {}

    read_last_scalars = read_scalars

    def _tags(self, plugin_name, run_tag_filter) -> list[str]:
        """List the tags of a plugin that pass a filter."""
        wanted_runs = run_tag_filter and run_tag_filter.runs
        wanted_tags = run_tag_filter and run_tag_filter.tags
        if wanted_runs is not None and self._run not in wanted_runs:
            return []
        return [
            tag
            for tag in self._points
            if self._metadata[tag].plugin_data.plugin_name == plugin_name
            and (wanted_tags is None or tag in wanted_tags)
        ]


def _as_array(value):
    """Return a value as TensorBoard hands it over: texts as objects."""
    return np.array(value, object) if isinstance(value, bytes) else value
