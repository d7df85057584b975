"""A ring of the last frames in the memory of the device.

A recorded step only writes to variables. It has no summary op and no call to
the host, so it works under XLA (which has no kernel for `WriteSummary`), with
`steps_per_execution` and in loops that do not leave the device. The host
fetches new frames whenever it can.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from gradscope.runtime import own_variables

#: Bytes of one ring, unless `MIN_ROWS` need more.
RING_BYTES = 16 * 2**20
MIN_ROWS = 4
# More would hardly be filled between two drains, see `background.INTERVAL`.
MAX_ROWS = 4096

# A step number is stored as two float32 numbers, since one is exact only up to
# 2^24. With 2^20 in the lower one, both are exact up to step 2^44.
_LOW_STEPS = 2**20

# Before a row's numbers: its step, and which row of all it is.
_HEAD_COLUMNS = 3


def ring(width: int, device: str) -> Ring:
    """Create a ring for rows of `width` numbers within `RING_BYTES`."""
    return Ring(rows_of(width), width, device)


def rows_of(width: int) -> int:
    """Compute how many rows of `width` numbers a ring has."""
    row_bytes = 4 * (width + _HEAD_COLUMNS)
    return min(MAX_ROWS, max(MIN_ROWS, RING_BYTES // row_bytes))


class Ring:
    """The last rows that steps appended, and a count of all appended rows.

    Args:
        rows: Number of rows, at least.
        width: Count of numbers in a row.
        device: Name of the device that runs the step.
    """

    def __init__(self, rows: int, width: int, device: str):
        self.rows = rows
        # One more row than promised: a step that runs during a fetch may be
        # overwriting the oldest one.
        self._slots = rows + 1
        self._fetched = 0
        self._rows = own_variables.create(
            np.zeros([self._slots, width + _HEAD_COLUMNS], np.float32), device
        )
        self._count = own_variables.create(np.zeros([], np.int64), device)

    def append(self, step: tf.Tensor, row: tf.Tensor) -> tf.Operation | None:
        """Append a row: add the ops to a graph, or run them eagerly.

        Args:
            step: int64 scalar tensor.
            row: float32 tensor of `width` numbers.

        Returns:
            The last op, None when executing eagerly.
        """
        count = tf.convert_to_tensor(self._count)
        head = [step // _LOW_STEPS, step % _LOW_STEPS, count % _LOW_STEPS]
        row = tf.concat([tf.cast(tf.stack(head), tf.float32), row], axis=0)
        write = tf.raw_ops.ResourceScatterUpdate(
            resource=self._rows.handle,
            indices=count % self._slots,
            updates=row,
        )
        # The count comes last, so that each counted row is complete.
        with tf.control_dependencies([] if write is None else [write]):
            return tf.raw_ops.AssignAddVariableOp(
                resource=self._count.handle, value=tf.ones([], tf.int64)
            )

    def count_waiting(self) -> int:
        """Count the rows that were appended since the last `fetch`."""
        return int(own_variables.value(self._count)) - self._fetched

    def fetch(self) -> tuple[np.ndarray, np.ndarray, int]:
        """Fetch the rows that were appended since the last call.

        May run in another thread while a step runs.

        Returns:
            Steps int64 `[n]` and rows float32 `[n, width]`, oldest first, and
            the number of rows that were lost: overwritten before this call, or
            by another thread that appended at the same time.
        """
        count = int(own_variables.value(self._count))
        first = max(self._fetched, count - self._slots + 1)
        if first == count:
            return np.zeros(0, np.int64), np.zeros([0, 0], np.float32), 0
        slots = np.arange(first, count) % self._slots
        # Gathered on the device, so that only new rows are copied to the host.
        with own_variables.eagerly():
            rows = tf.gather(self._rows, slots).numpy()
        # Steps that ran meanwhile may have overwritten the oldest rows.
        first_intact = max(
            first, int(own_variables.value(self._count)) - self._slots + 1
        )
        first_intact = min(first_intact, count)
        rows = rows[first_intact - first :]
        # Two threads may have read one count: then the first of two slots has
        # the row of one of them, and the second has an old row.
        expected = np.arange(first_intact, count) % _LOW_STEPS
        rows = rows[rows[:, 2] == expected]
        dropped = count - self._fetched - len(rows)
        self._fetched = count
        high, low = rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64)
        return high * _LOW_STEPS + low, rows[:, _HEAD_COLUMNS:], dropped
