"""Reads the records of runs for the routes, through caches."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from gradscope.format import schema
from gradscope_plugin.runs import record_parts
from gradscope_plugin.runs.caching import Cache, Locks
from gradscope_plugin.runs.compact_record import expand
from gradscope_plugin.runs.data_provider import (
    ALL,
    SMALL,
    TagReader,
    family_of,
    version_of,
)
from gradscope_plugin.runs.listing import Listing

if TYPE_CHECKING:
    from tensorboard.context import RequestContext
    from tensorboard.data import provider

    from gradscope.reading.record import Record
    from gradscope_plugin.runs.summary import Summary

# Bytes of all cached records: those of the six runs that the page shows at
# first, of 1000 variables and 1000 steps each. With 4 bytes a number and 6
# columns, such a record has 24 MB.
_CACHE_BYTES = 160 * 2**20

# Number of cached records: those of small runs have more bytes of names than of
# numbers, which `_CACHE_BYTES` does not count.
_RECORDS = 256

#: Steps of a preview: enough for the small heatmaps, and read far faster than
#: all steps.
PREVIEW = 96

# Number of cached previews, and bytes of a preview: more rows have fewer steps.
_PREVIEWS = 24
_PREVIEW_ROOM = 8 * 2**20


class Runs:
    """All runs of a data provider; thread-safe.

    Args:
        data_provider: A `tensorboard.data.provider.DataProvider`.
        samples: How many steps of a run TensorBoard keeps, 0 for all.
    """

    def __init__(self, data_provider: provider.DataProvider, samples: int = 0):
        self._source = TagReader(data_provider)
        self._locks = Locks()
        self._listing = Listing(self._source, self._locks, samples)
        self._records = Cache(_RECORDS, _CACHE_BYTES)
        # Limited in number alone, since each is limited in bytes.
        self._previews = Cache(_PREVIEWS)

    def summaries(self, ctx: RequestContext, experiment_id: str) -> list[dict]:
        """Summarise each run for `/runs`, sorted by name.

        Only the small tags are read.
        """
        return [run.all_fields for run in self.list_runs(ctx, experiment_id)]

    def list_runs(
        self,
        ctx: RequestContext,
        experiment_id: str,
        within: float = math.inf,
    ) -> list[Summary]:
        """Summarise each run in limited time, see `Listing.list_runs`."""
        return self._listing.list_runs(ctx, experiment_id, within)

    def record(
        self, ctx: RequestContext, experiment_id: str, run: str, family: str
    ) -> Record | None:
        """Read the record of a run; return None if the run does not exist.

        Args:
            ctx: TensorBoard's `RequestContext`.
            experiment_id: TensorBoard's name of the log directory.
            run: Name of the run.
            family: A family that the record must have. Families that only some
                steps have are read apart from those of all steps: in a deep
                network both are large, and the page shows one of them.

        Raises:
            UnreadableRun: If the run cannot be read.
        """
        with self._locks.of(experiment_id, run):
            key, tags = self._key_and_tags(ctx, experiment_id, run, family)
            if not tags:
                return None
            version = version_of(tags)
            record = self._records.get(key, version)
            if record is None:
                record = self._source.read(ctx, experiment_id, run, tags)
            # Also where it was cached, as the record that was used last.
            self._records.put(key, version, record)
            return record

    def cached_record(
        self, ctx: RequestContext, experiment_id: str, run: str, family: str
    ) -> Record | None:
        """Look up the record in the cache; None where `record` would read."""
        key, tags = self._key_and_tags(ctx, experiment_id, run, family)
        return self._records.get(key, version_of(tags))

    def _key_and_tags(self, ctx, experiment_id, run, family):
        """Return a record's key in the cache, and the tags that it is of."""
        tags = self._source.tags(ctx, experiment_id, run).get(run, {})
        rare = family in schema.OCCASIONAL
        families = {*SMALL, family} if rare else {*schema.FAMILIES, "logs"}
        tags = {
            tag: series
            for tag, series in tags.items()
            if family_of(tag) in {"schema", *families}
        }
        return (experiment_id, run, family if rare else None), tags

    def preview(
        self, ctx: RequestContext, experiment_id: str, run: str, family: str
    ) -> Record | None:
        """Read one family of about `PREVIEW` steps, chosen by the provider.

        Returns None if the run does not exist.

        Raises:
            UnreadableRun: If the run cannot be read.
        """
        tags = self._source.recent_tags(ctx, experiment_id, run)
        if not tags:
            return None
        cached = self._records.get_any_version((experiment_id, run, None))
        if cached is not None and family in cached.families:
            # It may lack the latest steps, but takes no time.
            return record_parts.thin(cached, PREVIEW)
        tags = {
            t: s for t, s in tags.items() if family_of(t) in ("schema", family)
        }
        return self._read_cached(
            ctx, (experiment_id, run, family), tags, PREVIEW, room=_PREVIEW_ROOM
        )

    def small_record(
        self, ctx: RequestContext, experiment_id: str, run: str, family: str
    ) -> Record | None:
        """Read a run without its large families.

        Returns None if the run does not exist.

        Raises:
            UnreadableRun: If the run cannot be read.
        """
        tags = self._source.tags(ctx, experiment_id, run).get(run)
        if not tags:
            return None
        small = {t: s for t, s in tags.items() if family_of(t) in SMALL}
        return self._read_cached(ctx, (experiment_id, run, "small"), small)

    def curves(
        self, ctx: RequestContext, experiment_id: str, run: str
    ) -> Record | None:
        """Read the numbers of the steps as a whole, and the logs of epochs.

        Nothing is read if the whole record is in the cache. Returns None if the
        run does not exist.

        Raises:
            UnreadableRun: If the run cannot be read.
        """
        whole = self.cached_record(ctx, experiment_id, run, "run")
        if whole is not None:
            return whole
        tags = self._source.tags(ctx, experiment_id, run).get(run)
        if not tags:
            return None
        few = {
            t: s for t, s in tags.items() if family_of(t) in (*SMALL, "logs")
        }
        return self._read_cached(ctx, (experiment_id, run, "curves"), few)

    def _read_cached(self, ctx, key, tags, most=ALL, room=None) -> Record:
        """Read some tags, or take them from the cache of previews."""
        with self._locks.of(*key):
            version = version_of(tags)
            record = self._previews.get(key, version)
            if record is None:
                experiment_id, run, _ = key
                record = self._source.read(
                    ctx, experiment_id, run, tags, most, room=room
                )
            self._previews.put(key, version, record)
            return record

    def version(
        self, ctx: RequestContext, experiment_id: str, run: str
    ) -> tuple | None:
        """Return a run's version without reading the run, or None.

        It changes whenever the run has grown; None if the run does not exist.
        """
        tags = self._source.tags(ctx, experiment_id, run).get(run)
        return version_of(tags) if tags else None

    def full_record(
        self, ctx: RequestContext, experiment_id: str, run: str
    ) -> Record | None:
        """Read all that was recorded of a run; None if it does not exist.

        Families that all steps have come from the cache of `record`. The others
        (of some steps only, or of a later gradscope) are not cached.

        Raises:
            UnreadableRun: If the run cannot be read.
        """
        cached = self.record(ctx, experiment_id, run, "variables")
        if cached is None:
            return None
        of_all_steps = expand(cached)
        tags = self._source.tags(ctx, experiment_id, run).get(run, {})
        other_tags = {
            tag
            for tag in tags
            if family_of(tag) in SMALL or family_of(tag) not in schema.FAMILIES
        }
        record = self._source.read(ctx, experiment_id, run, other_tags)
        return dataclasses.replace(
            record,
            schema=of_all_steps.schema,
            steps=of_all_steps.steps,
            wall_times=of_all_steps.wall_times,
            families=of_all_steps.families,
        )
