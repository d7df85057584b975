"""Gradscope's tags, read through TensorBoard's data provider; no HTTP here."""

from __future__ import annotations

import logging

from tensorboard.data import provider

from gradscope.format import schema
from gradscope.reading import joining
from gradscope_plugin.runs import summary

logger = logging.getLogger(__name__)

#: All steps. The provider's own thinning is random and keeps other steps for
#: each number, so this is more than any run can have.
ALL = 10**9

#: Bytes of a reply of the data server: gRPC's limit is 256 MiB. 5000 variables
#: have room for 750 steps.
ROOM = 200 * 2**20

# Where there is not even room for a few steps, it is an error.
_LEAST = 16

#: Families of 36 bytes a step; the others are thousands.
SMALL = ("schema", "run")

_TOO_EARLY = (
    "nothing recorded yet: steps are written every few seconds, on "
    "`gradscope.flush()` and at the end of training."
)
_UNREADABLE = (
    "this run cannot be read; TensorBoard's terminal says why. If it is very "
    "large, start TensorBoard with `--samples_per_plugin=gradscope=1000`."
)


class UnreadableRun(Exception):
    """A run that exists but cannot be shown; its text is for the user."""


class Provided:
    """What a data provider has of gradscope; safe to use from several threads.

    Args:
        data_provider: A `tensorboard.data.provider.DataProvider`.
    """

    def __init__(self, data_provider):
        self._provider = data_provider

    def tags(self, ctx, experiment_id, run=None):
        """Returns `{run: {tag: TensorTimeSeries}}`, gradscope's tags only."""
        listed = self._provider.list_tensors(
            ctx,
            experiment_id=experiment_id,
            plugin_name=schema.PLUGIN_NAME,
            run_tag_filter=provider.RunTagFilter(
                runs=None if run is None else [run]
            ),
        )
        return {
            run: {t: series for t, series in tags.items() if family_of(t)}
            for run, tags in listed.items()
        }

    def small(self, ctx, experiment_id, listed, most=ALL) -> dict:
        """Returns `{run: {tag: points}}` of the small tags of new runs, read
        at once: 20 runs one by one take 40 requests of 20 ms. It is empty
        where that fails: then each run is read, and fails, alone."""
        tags = {
            t for ts in listed.values() for t in ts if family_of(t) in SMALL
        }
        if len(listed) < 2:
            return {}
        try:
            found = self._provider.read_tensors(
                ctx,
                experiment_id=experiment_id,
                plugin_name=schema.PLUGIN_NAME,
                downsample=most,
                run_tag_filter=provider.RunTagFilter(
                    runs=list(listed), tags=sorted(tags)
                ),
            )
            return {
                run: {tag: _points(data) for tag, data in series.items()}
                for run, series in found.items()
            }
        except Exception:
            logger.warning("gradscope: cannot read all runs", exc_info=True)
            return {}

    def read(
        self, ctx, experiment_id, run, tags, most=ALL, *, room=None, known=()
    ):
        """Returns the record of some tags of a run.

        Args:
            ctx: TensorBoard's `RequestContext`.
            experiment_id: TensorBoard's name of the log directory.
            run: Name of the run.
            tags: Of `tags`.
            most: How many steps, chosen by the provider.
            room: Bytes that the steps of a tag may take, `ROOM` by default.
            known: `{tag: points}` that need not be read.

        Raises:
            UnreadableRun: If it cannot be read.
        """
        series = {tag: known[tag] for tag in tags if tag in known}
        try:
            # Schemas first: they tell how many steps there is room for.
            for tag in sorted(tags, key=lambda tag: family_of(tag) != "schema"):
                if tag not in series:
                    fitting = _fitting(tags, series, room or ROOM)
                    series[tag] = self._series(
                        ctx, experiment_id, run, tag, min(most, fitting)
                    )
            record = joining.from_series(run, series)
        except schema.SchemaError as error:
            raise UnreadableRun(str(error)) from error
        except Exception as error:
            # From gRPC's limit of 256 MiB a reply to damaged tensors. One
            # such run must not hide the others.
            logger.warning("gradscope: cannot read %r", run, exc_info=True)
            raise UnreadableRun(_UNREADABLE) from error
        if record is None:
            raise UnreadableRun(_TOO_EARLY)
        return record

    def _series(self, ctx, experiment_id, run, tag, most):
        """Returns a tag's `(step, wall time, value)` in order of writing."""
        data = self._provider.read_tensors(
            ctx,
            experiment_id=experiment_id,
            plugin_name=schema.PLUGIN_NAME,
            downsample=most,
            run_tag_filter=provider.RunTagFilter(runs=[run], tags=[tag]),
        )
        return _points(data.get(run, {}).get(tag, []))


def family_of(tag: str) -> str | None:
    """Returns the family of a tag, None of one that is not gradscope's."""
    family, _ = schema.parse_tag(tag) or (None, None)
    return family


def version_of(tags: dict) -> tuple:
    """Returns what changes whenever a run grew or was restarted."""
    return tuple(
        (tag, series.max_step, series.max_wall_time)
        for tag, series in sorted(tags.items())
    )


def _fitting(tags, series, room) -> int:
    """Returns how many steps of the largest of these tags there is room for,
    so far as their schemas are known. All tags have the same steps, and are
    thinned alike if they are thinned to the same number."""
    sizes = [1]
    for tag in tags:
        family, schema_id = schema.parse_tag(tag)
        known = series.get(schema.tag("schema", schema_id))
        if known and family not in schema.OCCASIONAL:
            sizes.append(summary.step_bytes(joining.schema_of(known), family))
    return max(_LEAST, room // max(sizes))


def _points(data) -> list:
    return [(p.step, p.wall_time, _plain(p.numpy)) for p in data]


def _plain(array):
    return array.item() if array.dtype == object else array
