"""Recorded runs, read through TensorBoard's data provider; no HTTP here."""

from __future__ import annotations

import collections
import dataclasses
import logging
import math
import threading
import time
import weakref

from tensorboard.data import provider

from gradscope import joining, schema
from gradscope_plugin import parts, summary

logger = logging.getLogger(__name__)

# The provider's own thinning is random and keeps other steps for each number,
# so ask for more than any run can have.
_ALL = 10**9

# 200 layers with two variables each, 5000 steps and 11 statistics: 88 MB.
_CACHE_BYTES = 256 * 2**20

# Of small runs, which have more bytes of names than of numbers.
_RECORDS = 256

#: Steps of a preview: enough for the small heatmaps, and 1000 rows x 1000 steps
#: x 14 statistics arrive in 0.1 s, where all of them take 1.5 s.
PREVIEW = 96

# 5 MB each of 1000 rows; of 5000 rows, fewer steps.
_PREVIEWS = 24
_PREVIEW_ROOM = 8 * 2**20

# Of a reply of the data server: gRPC's limit is 256 MiB. 5000 variables have
# room for 750 steps. Where there is not even room for a few, it is an error.
_ROOM = 200 * 2**20
_LEAST = 16

# So many steps of a run tell its last one. All 1000 take TensorBoard's data
# server 20 ms, 50 runs a second. TensorBoard's own reader takes as long for
# few steps as for all, more than so many seconds.
_ENDS = 2
_SLOW = 0.008

# 36 bytes a step; the others are thousands.
_SMALL = ("schema", "run")

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


class Runs:
    """All runs of a data provider; safe to use from several threads.

    Args:
        data_provider: A `tensorboard.data.provider.DataProvider`.
        samples: How many steps of a run TensorBoard keeps, 0 for all.
    """

    def __init__(self, data_provider, samples: int = 0):
        self._provider = data_provider
        self._samples = samples
        # One at a time of each run: a second reader finds it in the cache. 1000
        # rows x 1000 steps take 1.5 s to read, and the others are not to wait.
        # A lock lives while it is held: names that clients make up leave none.
        self._locks = weakref.WeakValueDictionary()
        self._lock = threading.Lock()
        self._records = collections.OrderedDict()
        self._previews = collections.OrderedDict()
        self._summaries = {}
        self._networks = summary.Networks()

    def summaries(self, ctx, experiment_id: str) -> list[dict]:
        """Returns what `/runs` tells of each run, sorted by name.

        Only the small tags are read; of the others there is but the list.
        """
        return [one.told for one in self.listed(ctx, experiment_id)]

    def listed(self, ctx, experiment_id: str, within=math.inf) -> list:
        """Returns a `summary.Summary` of each run, sorted by name.

        Args:
            ctx: TensorBoard's `RequestContext`.
            experiment_id: TensorBoard's name of the log directory.
            within: Seconds after which no more is read. What is told of a run
                may be old then, or `steps` be a guess, or nothing but its name
                be known; all of these say so by `pending`.
        """
        end = time.monotonic() + within
        with self._lock_of(experiment_id):
            listed = self._list(ctx, experiment_id)
            versions = {run: _version(ts) for run, ts in sorted(listed.items())}
            known, self._summaries = self._summaries, {}
            told = {}
            for run, version in versions.items():
                told[run] = known.get((experiment_id, run), _UNREAD)
                if told[run].version != version:
                    told[run] = dataclasses.replace(told[run], is_old=True)
            # Who was read longest ago comes first, else some never would.
            old = sorted(
                (r for r in told if told[r].is_old),
                key=lambda r: told[r].read_at,
            )
            self._read_summaries(
                ctx, experiment_id, {r: listed[r] for r in old}, told, end
            )
            self._summaries = {
                (experiment_id, run): one.remembered()
                for run, one in told.items()
                if one.summary
            }
            return [one.sent(run) for run, one in told.items()]

    def _read_summaries(self, ctx, experiment_id, listed, told, end):
        """Puts what is read of runs into `told`, until it is time to end."""
        names = list(listed)
        if end < math.inf:
            new = [run for run in names if not told[run].summary]
            middle = (time.monotonic() + end) / 2
            left = self._read_some(
                ctx, experiment_id, {r: listed[r] for r in new}, told, end, True
            )
            if new and (left or time.monotonic() > middle):
                return
            names = [run for run in names if told[run].is_old]
        self._read_some(
            ctx, experiment_id, {r: listed[r] for r in names}, told, end, False
        )

    def _read_some(self, ctx, experiment_id, listed, told, end, briefly):
        """Reads runs, briefly or all steps, and returns those that are left
        when it is time to end."""
        names = list(listed)
        size = len(names) if end == math.inf else 2 if briefly else 1
        while names:
            some, names = names[:size], names[size:]
            begun = time.monotonic()
            here = {run: listed[run] for run in some}
            most = _ENDS if briefly else _ALL
            at_once = self._small(ctx, experiment_id, here, most)
            for run, tags in here.items():
                found = self._summary(
                    ctx, experiment_id, run, tags, at_once, most
                )
                is_old = briefly and "error" not in found.own
                if is_old:
                    found.own["steps"] = self._kept(found.own)
                told[run] = _Known(found, _version(tags), begun, is_old)
            now = time.monotonic()
            if now > end:
                break
            if now - begun > _SLOW * len(some):
                briefly = False  # this provider reads all anyway
            elif now - begun < 0.02:
                size *= 2
        return names

    def _kept(self, told) -> int:
        """Returns how many steps TensorBoard has kept of a run, by what it
        says of itself: right, unless some steps were made again."""
        written = told["recorded"] or told["last_step"] + 1
        return min(written, self._samples or written, told["readable"])

    def _small(self, ctx, experiment_id, listed, most=_ALL) -> dict:
        """Returns `{run: {tag: points}}` of the small tags of new runs, read
        at once: 20 runs one by one take 40 requests of 20 ms. It is empty
        where that fails: then each run is read, and fails, alone."""
        tags = {t for ts in listed.values() for t in ts if _family(t) in _SMALL}
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

    def record(self, ctx, experiment_id: str, run: str, family: str):
        """Returns the record of one run, None if there is no such run.

        Args:
            ctx: TensorBoard's `RequestContext`.
            experiment_id: TensorBoard's name of the log directory.
            run: Name of the run.
            family: One that the record must have. What only some steps have
                is read apart from what all have: of a deep network both are
                large, and a page shows one of them.

        Raises:
            UnreadableRun: If it cannot be read.
        """
        with self._lock_of(experiment_id, run):
            key, tags = self._wanted(ctx, experiment_id, run, family)
            if not tags:
                return None
            record = self._current(key, tags)
            if record is None:
                record = self._read(ctx, experiment_id, run, tags)
            self._keep(key, _version(tags), record)
            return record

    def known(self, ctx, experiment_id: str, run: str, family: str):
        """Returns what `record` does where that need not be read, else None."""
        key, tags = self._wanted(ctx, experiment_id, run, family)
        return self._current(key, tags)

    def _wanted(self, ctx, experiment_id, run, family):
        """Returns where the cache has a record, and the tags that it is of."""
        tags = self._list(ctx, experiment_id, run).get(run, {})
        rare = family in schema.OCCASIONAL
        families = {*_SMALL, family} if rare else schema.FAMILIES
        tags = {
            tag: series
            for tag, series in tags.items()
            if _family(tag) in {"schema", *families}
        }
        return (experiment_id, run, family if rare else None), tags

    def _current(self, key, tags):
        known, record = self._records.get(key, (None, None))
        return record if known == _version(tags) else None

    def preview(self, ctx, experiment_id: str, run: str, family: str):
        """Returns the record of about `PREVIEW` steps of a run, chosen by the
        provider, and of one family; None if there is no such run.

        Raises:
            UnreadableRun: If it cannot be read.
        """
        tags = self._list(ctx, experiment_id, run).get(run)
        if not tags:
            return None
        whole = self._records.get((experiment_id, run, None), (None, None))
        if whole[1] is not None and family in whole[1].families:
            # Older by a few steps than what there is, and there at once.
            return parts.thinned(whole[1], PREVIEW)
        tags = {
            t: s for t, s in tags.items() if _family(t) in ("schema", family)
        }
        key = (experiment_id, run, family)
        with self._lock_of(*key):
            version = _version(tags)
            known, record = self._previews.pop(key, (None, None))
            if known != version:
                record = self._read(
                    ctx,
                    experiment_id,
                    run,
                    tags,
                    PREVIEW,
                    room=_PREVIEW_ROOM,
                )
            self._previews[key] = version, record
            while len(self._previews) > _PREVIEWS:
                self._previews.popitem(last=False)
            return record

    def _keep(self, key, version, record):
        """Puts a record into the cache, and forgets what was used least."""
        with self._lock:
            self._records.pop(key, None)
            self._records[key] = version, record
            while len(self._records) > 1 and (
                len(self._records) > _RECORDS or self._bytes() > _CACHE_BYTES
            ):
                self._records.popitem(last=False)

    def described(self, ctx, experiment_id: str, run: str, family: str):
        """Returns a run's record without the families that are large, None if
        there is no such run.

        Raises:
            UnreadableRun: If it cannot be read.
        """
        tags = self._list(ctx, experiment_id, run).get(run)
        if not tags:
            return None
        key = (experiment_id, run, "described")
        version = _version(tags)
        with self._lock_of(*key):
            known, record = self._previews.pop(key, (None, None))
            if known != version:
                small = [t for t in tags if _family(t) in _SMALL]
                record = self._read(ctx, experiment_id, run, small)
            self._previews[key] = version, record
            return record

    def version(self, ctx, experiment_id: str, run: str):
        """Returns what changes whenever a run has grown, None if there is no
        such run. Nothing of it is read."""
        tags = self._list(ctx, experiment_id, run).get(run)
        return _version(tags) if tags else None

    def whole(self, ctx, experiment_id: str, run: str):
        """Returns all that was recorded of a run, None if there is none.

        What all steps have is that of `record`, and kept with it; the rest
        (what only some steps have, and what a later gradscope adds) is not.

        Raises:
            UnreadableRun: If it cannot be read.
        """
        often = self.record(ctx, experiment_id, run, "variables")
        if often is None:
            return None
        tags = self._list(ctx, experiment_id, run).get(run, {})
        rest = {
            tag
            for tag in tags
            if _family(tag) in _SMALL or _family(tag) not in schema.FAMILIES
        }
        record = self._read(ctx, experiment_id, run, rest)
        return dataclasses.replace(
            record,
            schema=often.schema,
            steps=often.steps,
            wall_times=often.wall_times,
            families=often.families,
        )

    def _lock_of(self, *key):
        """Returns the lock of what is read under a key."""
        with self._lock:
            return self._locks.setdefault(key, threading.Lock())

    def _bytes(self):
        return sum(
            values.nbytes
            for _, record in self._records.values()
            for values in (
                *record.families.values(),
                *(values for _, values in record.rare.values()),
            )
        )

    def _list(self, ctx, experiment_id, run=None):
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
            run: {t: series for t, series in tags.items() if _family(t)}
            for run, tags in listed.items()
        }

    def _summary(self, ctx, experiment_id, run, tags, at_once, most=_ALL):
        small = [t for t in tags if _family(t) in _SMALL]
        families = {_family(tag) for tag in tags}
        known = at_once.get(run, {})
        try:
            record = self._read(
                ctx, experiment_id, run, small, most, known=known
            )
            return summary.Summary(
                summary.describe(record, families, _ROOM),
                self._networks.of(record.schema, families),
            )
        except UnreadableRun as error:
            return summary.Summary({"name": run, "error": str(error)})

    def _read(
        self, ctx, experiment_id, run, tags, most=_ALL, *, room=None, known=()
    ):
        series = {tag: known[tag] for tag in tags if tag in known}
        try:
            # Schemas first: they tell how many steps there is room for.
            for tag in sorted(tags, key=lambda tag: _family(tag) != "schema"):
                if tag not in series:
                    fitting = _fitting(tags, series, room or _ROOM)
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


@dataclasses.dataclass(frozen=True)
class _Known:
    """What is known of a run since `read_at`, when it was of a version."""

    summary: summary.Summary | None
    version: tuple
    read_at: float
    is_old: bool = False

    @property
    def is_error(self) -> bool:
        """Whether it could not be read."""
        return self.summary is not None and "error" in self.summary.own

    def remembered(self) -> _Known:
        """Returns what to remember: what went wrong once may work the next
        time, but waits until the others were read."""
        return dataclasses.replace(self, version=()) if self.is_error else self

    def sent(self, run) -> summary.Summary:
        """Returns what to tell of it."""
        if not self.is_old or self.is_error:
            return self.summary
        known = self.summary or summary.Summary({"name": run})
        return dataclasses.replace(known, own={**known.own, "pending": True})


_UNREAD = _Known(None, (), -math.inf)


def _family(tag):
    family, _ = schema.parse_tag(tag) or (None, None)
    return family


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


def _version(tags):
    """Returns what changes whenever a run grew or was restarted."""
    return tuple(
        (tag, series.max_step, series.max_wall_time)
        for tag, series in sorted(tags.items())
    )
