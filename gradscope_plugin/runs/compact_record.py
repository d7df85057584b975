"""Records in less memory: with the columns that their file has.

Of the table of variables, which is most of a record, a file has six columns of
fourteen: the others follow from them. A cache of such tables holds twice as
many runs.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from gradscope.format import stored_columns
from gradscope.reading.record import Record

if TYPE_CHECKING:
    import numpy as np

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


def compact(record: Record) -> Record:
    """Leave out the columns that follow from others.

    Args:
        record: A record of one training with one schema. In a joined one, the
            schema is that of the last part, and others may have columns that
            do not follow.
    """
    if _FAMILY not in record.families or _FAMILY not in record.schema.stored:
        return record
    packed = stored_columns.pack(
        record.schema, _FAMILY, record.families[_FAMILY]
    )
    return _copy(CompactRecord, record, packed)


def expand(record: Record) -> Record:
    """Compute all columns of a record, for those who need most of them."""
    if not isinstance(record, CompactRecord):
        return record
    table = stored_columns.unpack(
        record.schema, _FAMILY, list(record.families[_FAMILY])
    )
    return _copy(Record, record, table)


def _copy(kind: type[Record], record: Record, table: np.ndarray) -> Record:
    fields = {f.name: getattr(record, f.name) for f in dataclasses.fields(kind)}
    return kind(**fields | {"families": {**record.families, _FAMILY: table}})
