"""Records in less memory: with the columns that their file has.

Of the table of variables, which is most of a record, a file has six columns of
fourteen: the others follow from them. A cache of such tables holds twice as
many runs.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from gradscope.format import stored_columns
from gradscope.format.schema import parse_tag
from gradscope.reading import joining
from gradscope.reading.record import Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from gradscope.format.schema import Schema

_FAMILY = "variables"


@dataclasses.dataclass(frozen=True, eq=False)
class CompactRecord(Record):
    """A record whose table of variables has the stored columns alone.

    Each column that is asked for is computed then, to the same bits.
    """

    def __getitem__(self, statistic: str) -> np.ndarray:
        """Select a statistic, as `Record` does; it may be a read-only view."""
        packed = self.families.get(_FAMILY)
        if packed is None or statistic not in self.schema.columns[_FAMILY]:
            return super().__getitem__(statistic)
        return stored_columns.column(self.schema, _FAMILY, packed, statistic)


def from_series(run: str, series: dict[str, list]) -> Record | None:
    """Join the time series of a run, as `joining.from_series` does.

    Returns a `CompactRecord` where the run has a single schema that says which
    columns its file has.
    """
    parsed = {parse_tag(tag) or ("", "") for tag in series}
    schemas = [schema_id for family, schema_id in parsed if family == "schema"]
    if len(schemas) != 1:
        return joining.from_series(run, series)
    record = joining.from_series(run, series, _stack)
    if record is None or not _is_compact(record):
        return record
    return _copy(CompactRecord, record, record.families[_FAMILY])


def expand(record: Record) -> Record:
    """Compute all columns of a record, for those who need most of them."""
    if not isinstance(record, CompactRecord):
        return record
    table = stored_columns.unpack(
        record.schema, _FAMILY, list(record.families[_FAMILY])
    )
    return _copy(Record, record, table)


def _stack(
    schema: Schema, family: str, tables: Sequence[np.ndarray]
) -> np.ndarray:
    stacks = family == _FAMILY and _can_stack(schema)
    make = stored_columns.stack if stacks else stored_columns.unpack
    return make(schema, family, tables)


def _can_stack(schema: Schema) -> bool:
    # The first family has all steps; others are NaN in a step that they lack,
    # and a column that is left out would have its usual value there.
    return _FAMILY in schema.stored and next(iter(schema.columns)) == _FAMILY


def _is_compact(record: Record) -> bool:
    return _FAMILY in record.families and _can_stack(record.schema)


def _copy(kind: type[Record], record: Record, table: np.ndarray) -> Record:
    fields = {f.name: getattr(record, f.name) for f in dataclasses.fields(kind)}
    return kind(**fields | {"families": {**record.families, _FAMILY: table}})
