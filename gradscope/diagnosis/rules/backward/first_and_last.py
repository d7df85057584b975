"""The gradients of the first kernels beside those of the last ones."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.spells import median, running_median

if TYPE_CHECKING:
    from gradscope.diagnosis.spells import Spell
    from gradscope.diagnosis.view import View

#: Width of the running median of the ratio, in recorded steps.
_WIDTH = 9


@dataclasses.dataclass(frozen=True)
class Typical:
    """Kernel with the largest typical gradient of a third of the kernels.

    Attributes:
        row: Row of the kernel.
        rms: Its typical rms gradient, above zero.
    """

    row: int
    rms: float


class Ends:
    """Rms gradients of the first and of the last third of some kernels.

    Of each third the largest counts: a single kernel may have a small one.

    Args:
        view: The run.
        kernels: Rows of two or more kernels, in forward order.
    """

    def __init__(self, view: View, kernels: list[int]):
        self._rms = view.get("gradient_rms")[:, kernels].astype(float)
        third = max(1, len(kernels) // 3)
        self.first, self.last = kernels[:third], kernels[-third:]
        self._columns = slice(None, third), slice(-third, None)

    @functools.cached_property
    def ratio(self) -> np.ndarray:
        """Rms of the first kernels divided by that of the last, [T]."""
        first, last = (self._rms[:, c].max(axis=1) for c in self._columns)
        return running_median(first / last, _WIDTH)

    def typical(self, spell: Spell) -> tuple[Typical, Typical]:
        """Find the kernels whose gradients the ratio compares in a spell.

        Steps in which a kernel has no gradient do not count for it, as those
        of experts that take turns.

        Args:
            spell: Steps in which the ratio is a number above zero. The values
                that make it so may be half a window before or after.
        """
        half = _WIDTH // 2
        steps = slice(max(0, spell.start - half), spell.stop + half)
        first, last = (
            self._largest(self._rms[steps, columns], rows)
            for columns, rows in zip(
                self._columns, (self.first, self.last), strict=True
            )
        )
        return first, last

    def _largest(self, rms: np.ndarray, rows: list[int]) -> Typical:
        sizes = median(np.where(rms > 0, rms, np.nan), axis=0)
        column = int(np.nanargmax(sizes))
        return Typical(rows[column], float(sizes[column]))
