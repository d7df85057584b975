"""Recorded runs as the routes want them: whole, in part, or a preview."""

from __future__ import annotations

import dataclasses
import math

from gradscope.format import schema
from gradscope_plugin.runs import record_parts
from gradscope_plugin.runs.caching import Cache, Locks
from gradscope_plugin.runs.data_provider import (
    SMALL,
    Provided,
    family_of,
    version_of,
)
from gradscope_plugin.runs.listing import Listing

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


class Runs:
    """All runs of a data provider; safe to use from several threads.

    Args:
        data_provider: A `tensorboard.data.provider.DataProvider`.
        samples: How many steps of a run TensorBoard keeps, 0 for all.
    """

    def __init__(self, data_provider, samples: int = 0):
        self._source = Provided(data_provider)
        self._locks = Locks()
        self._listing = Listing(self._source, self._locks, samples)
        self._records = Cache(_RECORDS, _CACHE_BYTES)
        self._previews = Cache(_PREVIEWS)

    def summaries(self, ctx, experiment_id: str) -> list[dict]:
        """Returns what `/runs` tells of each run, sorted by name.

        Only the small tags are read; of the others there is but the list.
        """
        return [one.told for one in self.listed(ctx, experiment_id)]

    def listed(self, ctx, experiment_id: str, within=math.inf) -> list:
        """Returns a `summary.Summary` of each run, sorted by name: see
        `Listing.listed`."""
        return self._listing.listed(ctx, experiment_id, within)

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
        with self._locks.of(experiment_id, run):
            key, tags = self._wanted(ctx, experiment_id, run, family)
            if not tags:
                return None
            version = version_of(tags)
            record = self._records.get(key, version)
            if record is None:
                record = self._source.read(ctx, experiment_id, run, tags)
            self._records.keep(key, version, record)
            return record

    def known(self, ctx, experiment_id: str, run: str, family: str):
        """Returns what `record` does where that need not be read, else None."""
        key, tags = self._wanted(ctx, experiment_id, run, family)
        return self._records.get(key, version_of(tags))

    def _wanted(self, ctx, experiment_id, run, family):
        """Returns where the cache has a record, and the tags that it is of."""
        tags = self._source.tags(ctx, experiment_id, run).get(run, {})
        rare = family in schema.OCCASIONAL
        families = {*SMALL, family} if rare else schema.FAMILIES
        tags = {
            tag: series
            for tag, series in tags.items()
            if family_of(tag) in {"schema", *families}
        }
        return (experiment_id, run, family if rare else None), tags

    def preview(self, ctx, experiment_id: str, run: str, family: str):
        """Returns the record of about `PREVIEW` steps of a run, chosen by the
        provider, and of one family; None if there is no such run.

        Raises:
            UnreadableRun: If it cannot be read.
        """
        tags = self._source.tags(ctx, experiment_id, run).get(run)
        if not tags:
            return None
        whole = self._records.any((experiment_id, run, None))
        if whole is not None and family in whole.families:
            # Older by a few steps than what there is, and there at once.
            return record_parts.thinned(whole, PREVIEW)
        tags = {
            t: s for t, s in tags.items() if family_of(t) in ("schema", family)
        }
        return self._briefly(
            ctx, (experiment_id, run, family), tags, PREVIEW, room=_PREVIEW_ROOM
        )

    def described(self, ctx, experiment_id: str, run: str, family: str):
        """Returns a run's record without the families that are large, None if
        there is no such run.

        Raises:
            UnreadableRun: If it cannot be read.
        """
        tags = self._source.tags(ctx, experiment_id, run).get(run)
        if not tags:
            return None
        small = {t: s for t, s in tags.items() if family_of(t) in SMALL}
        return self._briefly(ctx, (experiment_id, run, "described"), small)

    def _briefly(self, ctx, key, tags, *how, **options):
        """Returns what is read of some tags, from the cache if it is there."""
        with self._locks.of(*key):
            version = version_of(tags)
            record = self._previews.get(key, version)
            if record is None:
                where = key[:2]
                record = self._source.read(ctx, *where, tags, *how, **options)
            self._previews.keep(key, version, record)
            return record

    def version(self, ctx, experiment_id: str, run: str):
        """Returns what changes whenever a run has grown, None if there is no
        such run. Nothing of it is read."""
        tags = self._source.tags(ctx, experiment_id, run).get(run)
        return version_of(tags) if tags else None

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
        tags = self._source.tags(ctx, experiment_id, run).get(run, {})
        rest = {
            tag
            for tag in tags
            if family_of(tag) in SMALL or family_of(tag) not in schema.FAMILIES
        }
        record = self._source.read(ctx, experiment_id, run, rest)
        return dataclasses.replace(
            record,
            schema=often.schema,
            steps=often.steps,
            wall_times=often.wall_times,
            families=often.families,
        )
