"""Which rows of two runs belong together."""

from __future__ import annotations

import dataclasses
import difflib
import itertools
from collections.abc import Hashable, Sequence

# Above it, only what both begin with is paired: 40,000 rows of two shapes would
# take days.
_MOST_PAIRS = 10**7


@dataclasses.dataclass(frozen=True)
class Matching:
    """Pairs of rows of two lists.

    Attributes:
        pairs: Index in the first list and in the second, in the order of the
            first.
        by: `"name"` or `"order"`.
    """

    pairs: tuple[tuple[int, int], ...]
    by: str = "name"

    def rest(self, side: int, count: int) -> list[int]:
        """Returns the indices of what is in one list only.

        Args:
            side: 0 of the first list, 1 of the second.
            count: Length of that list.
        """
        paired = {pair[side] for pair in self.pairs}
        return [index for index in range(count) if index not in paired]


def match(
    names_a: Sequence[str],
    kinds_a: Sequence[Hashable],
    names_b: Sequence[str],
    kinds_b: Sequence[Hashable],
) -> Matching:
    """Returns which rows belong together: those of one name.

    Where no name is common, or where the order alone finds a partner of its
    kind for every row of the shorter list and the names do not (Keras counts
    names on in a process: `dense`, `dense_1` in one run are `dense_1`,
    `dense_2` in the next), it is by forward order and kind.

    Args:
        names_a: Unique names in forward order.
        kinds_a: Of each its shape, class or the like.
        names_b: Of the other run.
        kinds_b: Likewise.
    """
    places = {name: index for index, name in enumerate(names_b)}
    named = tuple(
        (index, places[name])
        for index, name in enumerate(names_a)
        if name in places
    )
    same_kind = sum(kinds_a[i] == kinds_b[j] for i, j in named)
    shorter = min(len(names_a), len(names_b))
    if named and same_kind == shorter:
        return Matching(named)  # forward order has no more pairs
    ordered = _in_order(kinds_a, kinds_b)
    if not named or same_kind < len(ordered) == shorter:
        return Matching(ordered, "order" if ordered else "name")
    return Matching(named)


def _in_order(kinds_a, kinds_b) -> tuple[tuple[int, int], ...]:
    if len(kinds_a) * len(kinds_b) > _MOST_PAIRS:
        pairs = enumerate(zip(kinds_a, kinds_b, strict=False))
        same = itertools.takewhile(lambda pair: pair[1][0] == pair[1][1], pairs)
        return tuple((index, index) for index, _ in same)
    matcher = difflib.SequenceMatcher(None, kinds_a, kinds_b, autojunk=False)
    return tuple(
        (block.a + offset, block.b + offset)
        for block in matcher.get_matching_blocks()
        for offset in range(block.size)
    )
