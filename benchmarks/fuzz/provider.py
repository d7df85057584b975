"""A data provider of TensorBoard that has events in memory."""

from __future__ import annotations

from tensorboard.compat.proto import event_pb2
from tensorboard.data import provider
from tensorboard.util import tensor_util


class Memory(provider.DataProvider):
    """What TensorBoard's own providers make of some event files.

    Args:
        runs: Of each run the serialised events.
    """

    def __init__(self, runs: dict[str, list[bytes]]):
        self._points = {run: _points(events) for run, events in runs.items()}
        self._plugins = {
            run: {tag: _plugin(tag) for tag in points}
            for run, points in self._points.items()
        }

    def list_tensors(
        self, ctx=None, *, experiment_id, plugin_name, run_tag_filter=None
    ):
        return {
            run: {
                tag: provider.TensorTimeSeries(
                    max_step=max(step for step, _, _ in points),
                    max_wall_time=max(time for _, time, _ in points),
                    plugin_content=b"",
                    description="",
                    display_name="",
                )
                for tag, points in tags.items()
            }
            for run, tags in self._chosen(plugin_name, run_tag_filter)
        }

    def read_tensors(
        self,
        ctx=None,
        *,
        experiment_id,
        plugin_name,
        downsample,
        run_tag_filter=None,
    ):
        return {
            run: {
                tag: [
                    provider.TensorDatum(
                        step=step,
                        wall_time=time,
                        numpy=tensor_util.make_ndarray(tensor),
                    )
                    for step, time, tensor in points[-downsample:]
                ]
                for tag, points in tags.items()
            }
            for run, tags in self._chosen(plugin_name, run_tag_filter)
        }

    def read_scalars(self, ctx=None, **_):
        return {}

    def list_scalars(self, ctx=None, **_):
        return {}

    def read_last_scalars(self, ctx=None, **_):
        return {}

    def list_runs(self, ctx=None, *, experiment_id):
        return [
            provider.Run(run_id=run, run_name=run, start_time=0.0)
            for run in self._points
        ]

    def list_plugins(self, ctx=None, *, experiment_id):
        return ["gradscope"]

    def _chosen(self, plugin_name, run_tag_filter):
        chosen = run_tag_filter or provider.RunTagFilter()
        for run, tags in self._points.items():
            found = {
                tag: points
                for tag, points in tags.items()
                if self._plugins[run][tag] == plugin_name
                and (chosen.tags is None or tag in chosen.tags)
            }
            if found and (chosen.runs is None or run in chosen.runs):
                yield run, found


def _plugin(tag: str) -> str:
    return "gradscope" if tag.startswith("gradscope/") else "histograms"


def _points(events):
    found: dict = {}
    for data in events:
        try:
            event = event_pb2.Event.FromString(data)
        except Exception:
            continue  # as the providers do, which check its checksum
        for value in event.summary.value:
            point = event.step, event.wall_time, value.tensor
            found.setdefault(value.tag, []).append(point)
    return found
