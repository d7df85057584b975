"""Numbers that a graph keeps from one run of a session to the next.

They are no variables: a hash table makes itself where it is first used, one
in each session, with a default for what was never written. So its user has
nothing to initialise, and no collection and no checkpoint has it.
"""

from __future__ import annotations

import itertools
import uuid

import tensorflow as tf


class SessionCounters:
    """int64 numbers by key; what was never written is -1.

    One instance is one table in each session, wherever in the graph (also
    inside of functions) it is used.
    """

    def __init__(self):
        self._name = f"gradscope_{uuid.uuid4().hex}"
        self._keys = itertools.count()

    def new(self) -> int:
        """Returns a key that was not used before."""
        return next(self._keys)

    def read(self, keys: list[int]) -> dict[int, tf.Tensor]:
        """Returns what the cells hold: int64 scalars by key."""
        values = tf.raw_ops.LookupTableFindV2(
            table_handle=self._table(),
            keys=tf.constant(keys, tf.int64),
            default_value=tf.constant(-1, tf.int64),
        )
        return dict(zip(keys, tf.unstack(values, len(keys)), strict=True))

    def write(self, values: dict[int, tf.Tensor]) -> tf.Operation:
        """Returns the op that sets cells."""
        return tf.raw_ops.LookupTableInsertV2(
            table_handle=self._table(),
            keys=tf.constant(list(values), tf.int64),
            values=tf.stack(list(values.values())),
        )

    def _table(self) -> tf.Tensor:
        return tf.raw_ops.MutableHashTableV2(
            key_dtype=tf.int64, value_dtype=tf.int64, shared_name=self._name
        )
