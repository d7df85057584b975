"""Lists the runs with a summary of each, within a limited time."""

from __future__ import annotations

import dataclasses
import math
import time
from typing import TYPE_CHECKING

from gradscope_plugin.runs import data_provider, earlier_trainings, summary
from gradscope_plugin.runs.caching import Locks
from gradscope_plugin.runs.data_provider import (
    SMALL,
    TagReader,
    UnreadableRun,
    family_of,
    version_of,
)

if TYPE_CHECKING:
    from tensorboard.context import RequestContext

# Steps that are read of a run to get its last one: TensorBoard's data server
# takes far longer for all of them.
_FEW_STEPS = 2

# Seconds for these steps of one run above which all steps are read, since
# TensorBoard's other reader takes as long for a few steps as for all.
_SLOW = 0.008


class Listing:
    """The runs of a data provider; thread-safe.

    Args:
        source: Reads the runs.
        locks: Locks of runs and experiments.
        samples: How many steps of a run TensorBoard keeps, 0 for all.
    """

    def __init__(self, source: TagReader, locks: Locks, samples: int = 0):
        self._source = source
        self._locks = locks
        self._samples = samples
        self._summaries = {}
        self._networks = summary.Networks()

    def __len__(self):
        return len(self._summaries)

    def list_runs(
        self,
        ctx: RequestContext,
        experiment_id: str,
        within: float = math.inf,
    ) -> list[summary.Summary]:
        """Summarise each run, sorted by name.

        Args:
            ctx: TensorBoard's `RequestContext`.
            experiment_id: TensorBoard's name of the log directory.
            within: Seconds after which reading ends. The summary of a run may
                then be old, have an estimate for `steps`, or only a name; such
                a summary has the field `pending`.
        """
        end = time.monotonic() + within
        # A second request waits, and then finds the summaries of the first.
        with self._locks.of(experiment_id):
            new = self._source.tags(ctx, experiment_id)
            previous, self._summaries = self._summaries, {}
            tags_by_run, states = {}, {}
            # Reading a run tells whether there is an earlier training, too.
            while new:
                tags_by_run |= new
                for run, tags in new.items():
                    state = previous.get((experiment_id, run), _UNREAD)
                    if state.version != version_of(tags):
                        state = dataclasses.replace(state, is_old=True)
                    states[run] = state
                # The run that was read longest ago comes first, so that each
                # has its turn.
                old = sorted(
                    (run for run in new if states[run].is_old),
                    key=lambda run: states[run].read_at,
                )
                old_tags = {run: tags_by_run[run] for run in old}
                self._read_summaries(ctx, experiment_id, old_tags, states, end)
                new = _earlier_trainings(states, tags_by_run)
            self._summaries = {
                (experiment_id, run): state.to_remember()
                for run, state in states.items()
                if state.summary
            }
            return [state.to_send(run) for run, state in sorted(states.items())]

    def _read_summaries(self, ctx, experiment_id, tags_by_run, states, end):
        """Read the summaries of runs into `states`, until the time `end`.

        Without a limit all steps are read. With one, new runs are first read
        briefly, and all steps in the time that is left.
        """
        if end < math.inf:
            new = {
                run: tags
                for run, tags in tags_by_run.items()
                if not states[run].summary
            }
            middle = (time.monotonic() + end) / 2
            left = self._read_batches(
                ctx, experiment_id, new, states, end, briefly=True
            )
            if new and (left or time.monotonic() > middle):
                return
            tags_by_run = {
                run: tags
                for run, tags in tags_by_run.items()
                if states[run].is_old
            }
        self._read_batches(
            ctx, experiment_id, tags_by_run, states, end, briefly=False
        )

    def _read_batches(
        self, ctx, experiment_id, tags_by_run, states, end, *, briefly
    ) -> list[str]:
        """Read runs in batches until the time `end`; return runs left over.

        Briefly, only a few steps of each run are read.
        """
        names = list(tags_by_run)
        # Small batches first: how long one takes shows only then, and the time
        # `end` must be met.
        size = len(names) if end == math.inf else 2 if briefly else 1
        while names:
            batch, names = names[:size], names[size:]
            begun = time.monotonic()
            tags_of_batch = {run: tags_by_run[run] for run in batch}
            most = _FEW_STEPS if briefly else data_provider.ALL
            points = self._source.read_small_tags(
                ctx, experiment_id, tags_of_batch, most
            )
            for run, tags in tags_of_batch.items():
                summarised, replaced = self._summarise(
                    ctx, experiment_id, run, tags, points.get(run, {}), most
                )
                is_old = briefly and "error" not in summarised.fields
                if is_old:
                    fields = summarised.fields
                    fields["steps"] = self._estimate_steps(fields)
                    # Of a few steps nobody knows whether they were all.
                    replaced = states[run].replaced
                states[run] = _RunState(
                    summarised, version_of(tags), begun, replaced, is_old
                )
            now = time.monotonic()
            if now > end:
                break
            if now - begun > _SLOW * len(batch):
                briefly = False  # this provider takes as long for all steps
            # Twice as long is within the 0.05 s of a listing, see `plugin`.
            elif now - begun < 0.02:
                size *= 2
        return names

    def _estimate_steps(self, fields: dict) -> int:
        """Estimate how many steps of a run TensorBoard kept.

        The number is exact unless the training repeated steps.
        """
        written = fields["recorded"] or fields["last_step"] + 1
        return min(written, self._samples or written, fields["readable"])

    def _summarise(
        self, ctx, experiment_id, run, tags, points, most
    ) -> tuple[summary.Summary, tuple[str, ...]]:
        """Summarise a run; also return the schemas that were replaced."""
        small = [t for t in tags if family_of(t) in SMALL]
        families = {family_of(tag) for tag in tags}
        try:
            record = self._source.read(
                ctx, experiment_id, run, small, most, already_read=points
            )
            fields = summary.describe(record, families, data_provider.ROOM)
            directory, _ = earlier_trainings.split(run)
            if run != directory:
                fields["earlier_in"] = directory
            network = self._networks.of(record.schema, families)
            return summary.Summary(fields, network), record.replaced
        except UnreadableRun as error:
            return summary.Summary({"name": run, "error": str(error)}), ()


@dataclasses.dataclass(frozen=True)
class _RunState:
    """The summary of a run, read at a time when the run had a version.

    It is old if the run has grown since, or if only a few steps were read. The
    schemas of an earlier training in its directory are `replaced`.
    """

    summary: summary.Summary | None
    version: tuple
    read_at: float
    replaced: tuple[str, ...] = ()
    is_old: bool = False

    @property
    def is_error(self) -> bool:
        """Whether the run could not be read."""
        return self.summary is not None and "error" in self.summary.fields

    def to_remember(self) -> _RunState:
        """Forget the version of a run that could not be read.

        So it is read again, after the runs that were read longer ago.
        """
        return dataclasses.replace(self, version=()) if self.is_error else self

    def to_send(self, run: str) -> summary.Summary:
        """Mark an old summary by the field `pending`."""
        if not self.is_old or self.is_error:
            return self.summary
        old = self.summary or summary.Summary({"name": run})
        return dataclasses.replace(old, fields={**old.fields, "pending": True})


_UNREAD = _RunState(None, (), -math.inf)


def _earlier_trainings(states, tags_by_run) -> dict[str, dict]:
    """Find the earlier trainings that have no state yet, with their tags."""
    names = {
        earlier_trainings.name(run, state.replaced): run
        for run, state in states.items()
        if state.replaced
    }
    return {
        name: earlier_trainings.select(tags_by_run[run], name)
        for name, run in names.items()
        if name not in states
    }
