"""Reads gradscope's tags through TensorBoard's data provider."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING

from tensorboard.data import provider

from gradscope.format import schema
from gradscope.reading import joining
from gradscope_plugin.runs import (
    compact_record,
    earlier_trainings,
    summary,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tensorboard.context import RequestContext

    from gradscope.reading.record import Record

logger = logging.getLogger(__name__)

#: Stands for all steps, as more than any run can have. A data provider drops
#: steps at random, and different ones for each number that is asked for.
ALL = 10**9

#: Largest reply of the data server, in bytes; gRPC's limit is 256 MiB.
ROOM = 200 * 2**20

# The fewest steps that are requested. A reply that is then too large fails.
_LEAST = 16

# Seconds for which a list of all tags is recent.
_RECENT = 1.0

#: Families of a few bytes a step; those of the others are thousands.
SMALL = ("schema", "run")

_TOO_EARLY = (
    "nothing recorded yet: steps are written every few seconds, on "
    "`gradscope.flush()` and at the end of training."
)
_UNREADABLE = (
    "this run cannot be read. TensorBoard's terminal shows the reason. If the "
    "run is very large, start TensorBoard with "
    "`--samples_per_plugin=gradscope=1000`."
)


class UnreadableRun(Exception):
    """A run that exists but cannot be shown; its text is for the user."""


class TagReader:
    """Reads gradscope's tags from a data provider; thread-safe.

    Args:
        data_provider: A `tensorboard.data.provider.DataProvider`.
    """

    def __init__(self, data_provider: provider.DataProvider):
        self._provider = data_provider
        # When all runs were listed last, of which experiment, and the tags.
        self._listed: tuple[float, str, dict] = (-math.inf, "", {})

    def tags(
        self, ctx: RequestContext, experiment_id: str, run: str | None = None
    ) -> dict[str, dict[str, provider.TensorTimeSeries]]:
        """List gradscope's tags, of all runs or of one.

        Returns:
            `{run: {tag: time series}}`, without the points.
        """
        directory = None if run is None else earlier_trainings.split(run)[0]
        tags_by_run = self._provider.list_tensors(
            ctx,
            experiment_id=experiment_id,
            plugin_name=schema.PLUGIN_NAME,
            run_tag_filter=provider.RunTagFilter(
                runs=None if directory is None else [directory]
            ),
        )
        # The provider does not know the names of earlier trainings. Whoever
        # asks for one gets the tags of its directory, under its name.
        selected = {
            name: earlier_trainings.select(tags, name)
            for listed, tags in tags_by_run.items()
            for name in [listed if run is None else run]
        }
        if run is None:
            self._listed = time.monotonic(), experiment_id, selected
        return selected

    def recent_tags(
        self, ctx: RequestContext, experiment_id: str, run: str
    ) -> dict[str, provider.TensorTimeSeries]:
        """List gradscope's tags of a run, as they were a second ago or later.

        TensorBoard's data server takes 43 ms for each reply that is longer than
        a packet (0.7.2), so that the first picture should wait for few of them.
        """
        listed_at, listed_id, tags_by_run = self._listed
        is_recent = time.monotonic() - listed_at < _RECENT
        if is_recent and listed_id == experiment_id and run in tags_by_run:
            return tags_by_run[run]
        return self.tags(ctx, experiment_id, run).get(run, {})

    def read_small_tags(
        self,
        ctx: RequestContext,
        experiment_id: str,
        tags_by_run: dict[str, dict[str, provider.TensorTimeSeries]],
        most: int = ALL,
    ) -> dict[str, dict[str, list]]:
        """Read the small tags of several runs in one request.

        Args:
            ctx: TensorBoard's `RequestContext`.
            experiment_id: TensorBoard's name of the log directory.
            tags_by_run: The runs, as `tags` returns them.
            most: Largest number of steps, chosen by the provider.

        Returns:
            `{run: {tag: points}}`. Empty where the request fails, so that a
            damaged run then fails alone; and empty for a single run, and for
            earlier trainings.
        """
        tags_by_run = {
            run: tags
            for run, tags in tags_by_run.items()
            if run == earlier_trainings.split(run)[0]
        }
        tags = {
            tag
            for tags_of_run in tags_by_run.values()
            for tag in tags_of_run
            if family_of(tag) in SMALL
        }
        if len(tags_by_run) < 2:
            return {}
        try:
            series_by_run = self._provider.read_tensors(
                ctx,
                experiment_id=experiment_id,
                plugin_name=schema.PLUGIN_NAME,
                downsample=most,
                run_tag_filter=provider.RunTagFilter(
                    runs=list(tags_by_run), tags=sorted(tags)
                ),
            )
            return {
                run: {tag: _points(data) for tag, data in series.items()}
                for run, series in series_by_run.items()
            }
        except Exception:
            logger.warning("gradscope: cannot read all runs", exc_info=True)
            return {}

    def read(
        self,
        ctx: RequestContext,
        experiment_id: str,
        run: str,
        tags: Iterable[str],
        most: int = ALL,
        *,
        room: int | None = None,
        already_read: Mapping[str, list] | None = None,
    ) -> Record:
        """Read some tags of a run into a record.

        Args:
            ctx: TensorBoard's `RequestContext`.
            experiment_id: TensorBoard's name of the log directory.
            run: Name of the run.
            tags: Names of tags that the run has.
            most: Largest number of steps, chosen by the provider.
            room: Bytes that the steps of a tag may take, `ROOM` by default.
            already_read: `{tag: points}` of tags that need not be read.

        Raises:
            UnreadableRun: If the run cannot be read.
        """
        points = already_read or {}
        series = {tag: points[tag] for tag in tags if tag in points}
        try:
            # Schemas first, since the size of a step follows from them.
            for tag in sorted(tags, key=lambda tag: family_of(tag) != "schema"):
                if tag not in series:
                    count = _steps_in_room(tags, series, room or ROOM)
                    series[tag] = self._series(
                        ctx, experiment_id, run, tag, min(most, count)
                    )
            record = compact_record.from_series(run, series)
        except schema.SchemaError as error:
            raise UnreadableRun(str(error)) from error
        except Exception as error:
            # The cause may be gRPC's limit of 256 MiB, or damaged tensors. Such
            # a run must not hide the others.
            logger.warning("gradscope: cannot read %r", run, exc_info=True)
            raise UnreadableRun(_UNREADABLE) from error
        if record is None:
            raise UnreadableRun(_TOO_EARLY)
        return record

    def _series(self, ctx, experiment_id, run, tag, most):
        """Read a tag's points `(step, wall time, value)`, in written order."""
        run, _ = earlier_trainings.split(run)
        data = self._provider.read_tensors(
            ctx,
            experiment_id=experiment_id,
            plugin_name=schema.PLUGIN_NAME,
            downsample=most,
            run_tag_filter=provider.RunTagFilter(runs=[run], tags=[tag]),
        )
        return _points(data.get(run, {}).get(tag, []))


def family_of(tag: str) -> str | None:
    """Return the family of a tag, or None if it is not one of gradscope's."""
    family, _ = schema.parse_tag(tag) or (None, None)
    return family


def version_of(tags: dict[str, provider.TensorTimeSeries]) -> tuple:
    """Compute a run's version, which changes when it grows or restarts."""
    return tuple(
        (tag, series.max_step, series.max_wall_time)
        for tag, series in sorted(tags.items())
    )


def _steps_in_room(tags, series, room: int) -> int:
    """Compute how many steps of the largest of these tags take `room` bytes.

    Tags whose schema has not been read are ignored. All tags get the same
    number, since the provider then drops the same steps of each.
    """
    sizes = [1]
    for tag in tags:
        family, schema_id = schema.parse_tag(tag)
        points = series.get(schema.tag("schema", schema_id))
        if points and family not in schema.OCCASIONAL:
            sizes.append(summary.step_bytes(joining.schema_of(points), family))
    return max(_LEAST, room // max(sizes))


def _points(data) -> list:
    return [(p.step, p.wall_time, _plain(p.numpy)) for p in data]


def _plain(array):
    # A text comes as an array of one object.
    return array.item() if array.dtype == object else array
