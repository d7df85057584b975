"""The list of runs: what is told of each, and how much may be read for it."""

from __future__ import annotations

import dataclasses
import math
import time

from gradscope_plugin.runs import data_provider, summary
from gradscope_plugin.runs.caching import Locks
from gradscope_plugin.runs.data_provider import (
    SMALL,
    Provided,
    UnreadableRun,
    family_of,
    version_of,
)

# So many steps of a run tell its last one. All 1000 take TensorBoard's data
# server 20 ms, 50 runs a second. TensorBoard's own reader takes as long for
# few steps as for all, more than so many seconds.
_ENDS = 2
_SLOW = 0.008


class Listing:
    """The runs of a data provider; safe to use from several threads.

    Args:
        source: Where they are read.
        locks: Of whatever is read.
        samples: How many steps of a run TensorBoard keeps, 0 for all.
    """

    def __init__(self, source: Provided, locks: Locks, samples: int = 0):
        self._source = source
        self._locks = locks
        self._samples = samples
        self._summaries = {}
        self._networks = summary.Networks()

    def __len__(self):
        return len(self._summaries)

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
        with self._locks.of(experiment_id):
            listed = self._source.tags(ctx, experiment_id)
            versions = {
                run: version_of(ts) for run, ts in sorted(listed.items())
            }
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
            most = _ENDS if briefly else data_provider.ALL
            at_once = self._source.small(ctx, experiment_id, here, most)
            for run, tags in here.items():
                found = self._summary(
                    ctx, experiment_id, run, tags, at_once, most
                )
                is_old = briefly and "error" not in found.own
                if is_old:
                    found.own["steps"] = self._kept(found.own)
                told[run] = _Known(found, version_of(tags), begun, is_old)
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

    def _summary(
        self, ctx, experiment_id, run, tags, at_once, most=data_provider.ALL
    ):
        small = [t for t in tags if family_of(t) in SMALL]
        families = {family_of(tag) for tag in tags}
        known = at_once.get(run, {})
        try:
            record = self._source.read(
                ctx, experiment_id, run, small, most, known=known
            )
            return summary.Summary(
                summary.describe(record, families, data_provider.ROOM),
                self._networks.of(record.schema, families),
            )
        except UnreadableRun as error:
            return summary.Summary({"name": run, "error": str(error)})


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
