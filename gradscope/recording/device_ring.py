"""The flight recorder: a ring of the last measurements in device memory.

The step itself only writes to variables: no summary op and no call to the
host, so that it works under XLA (which has no kernel for `WriteSummary`),
inside `steps_per_execution` and in loops that never leave the device. The
host fetches what is new when it gets the chance.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from gradscope.runtime import own_variables

#: Memory of one ring, unless `MIN_ROWS` need more.
RING_BYTES = 16 * 2**20
MIN_ROWS = 4
MAX_ROWS = 4096

# A step is kept as two float32 numbers: one alone is exact to 2^24 only.
_LOW_STEPS = 2**20
_STEP_COLUMNS = 2


def ring(width: int, device: str) -> Ring:
    """Returns a ring for rows of `width` numbers within `RING_BYTES`."""
    return Ring(rows_of(width), width, device)


def rows_of(width: int) -> int:
    """Returns how many rows of `width` numbers a ring keeps."""
    row_bytes = 4 * (width + _STEP_COLUMNS)
    return min(MAX_ROWS, max(MIN_ROWS, RING_BYTES // row_bytes))


class Ring:
    """The last rows that steps appended, and how many there ever were.

    Args:
        rows: How many rows are kept, at least.
        width: Numbers in a row.
        device: Where the step runs.
    """

    def __init__(self, rows: int, width: int, device: str):
        self.rows = rows
        # One row more than is promised: the oldest may be half overwritten
        # while it is fetched beside a running step.
        self._slots = rows + 1
        self._fetched = 0
        self._rows = own_variables.create(
            np.zeros([self._slots, width + _STEP_COLUMNS], np.float32), device
        )
        self._count = own_variables.create(np.zeros([], np.int64), device)

    def append(self, step, row) -> tf.Operation | None:
        """Adds the ops (or eagerly runs them) that append a row.

        Args:
            step: int64 scalar tensor.
            row: float32 tensor of `width` numbers.

        Returns:
            The last op, None when executing eagerly.
        """
        step = tf.stack([step // _LOW_STEPS, step % _LOW_STEPS])
        row = tf.concat([tf.cast(step, tf.float32), row], axis=0)
        write = tf.raw_ops.ResourceScatterUpdate(
            resource=self._rows.handle,
            indices=self._count % self._slots,
            updates=row,
        )
        # The count comes last, so that a row that is counted is whole.
        with tf.control_dependencies([] if write is None else [write]):
            return tf.raw_ops.AssignAddVariableOp(
                resource=self._count.handle, value=tf.ones([], tf.int64)
            )

    def waiting(self) -> int:
        """Returns how many rows were appended since the last `fetch`."""
        return int(own_variables.value(self._count)) - self._fetched

    def fetch(self) -> tuple[np.ndarray, np.ndarray, int]:
        """Returns what was appended since the last call, oldest first.

        May run beside a step, in another thread.

        Returns:
            Steps int64 `[n]`, rows float32 `[n, width]`, and how many rows
            were overwritten before they could be fetched.
        """
        count = int(own_variables.value(self._count))
        first = max(self._fetched, count - self._slots + 1)
        if first == count:
            return np.zeros(0, np.int64), np.zeros([0, 0], np.float32), 0
        slots = np.arange(first, count) % self._slots
        with own_variables.eagerly():
            rows = tf.gather(self._rows, slots).numpy()
        whole = max(
            first, int(own_variables.value(self._count)) - self._slots + 1
        )
        rows = rows[min(whole, count) - first :]
        dropped = min(whole, count) - self._fetched
        self._fetched = count
        high, low = rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64)
        return high * _LOW_STEPS + low, rows[:, _STEP_COLUMNS:], dropped
