"""Numbers that a graph keeps from one run of a session to the next.

They are not variables: a hash table is created on its first use, once in each
session, with a default for keys that were never written. So the user need not
initialize them, and no collection or checkpoint contains them.
"""

from __future__ import annotations

import itertools
import uuid

import tensorflow as tf


class SessionCounters:
    """int64 numbers by key; a number that was never written is -1.

    One instance is one table in each session, anywhere in the graph (also
    inside of functions).
    """

    def __init__(self):
        # A name of its own: tables of one name are one table.
        self._name = f"gradscope_{uuid.uuid4().hex}"
        self._keys = itertools.count()

    def new(self) -> int:
        """Reserve a key."""
        return next(self._keys)

    def read(self, keys: list[int]) -> dict[int, tf.Tensor]:
        """Read counters: int64 scalars by key."""
        values = tf.raw_ops.LookupTableFindV2(
            table_handle=self._table(),
            keys=tf.constant(keys, tf.int64),
            default_value=tf.constant(-1, tf.int64),
        )
        return dict(zip(keys, tf.unstack(values, len(keys)), strict=True))

    def write(self, values: dict[int, tf.Tensor]) -> tf.Operation:
        """Add the op that sets counters."""
        return tf.raw_ops.LookupTableInsertV2(
            table_handle=self._table(),
            keys=tf.constant(list(values), tf.int64),
            values=tf.stack(list(values.values())),
        )

    def _table(self) -> tf.Tensor:
        return tf.raw_ops.MutableHashTableV2(
            key_dtype=tf.int64, value_dtype=tf.int64, shared_name=self._name
        )
