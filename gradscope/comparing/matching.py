"""Pairing of the rows of two runs, by name or by forward order."""

from __future__ import annotations

import dataclasses
import difflib
import itertools
from collections.abc import Hashable, Sequence

# With more pairs to try, rows are paired only up to the first that differ in
# kind: the time of `difflib` grows with the number of pairs.
_MOST_PAIRS = 10**7


@dataclasses.dataclass(frozen=True)
class Matching:
    """Pairs of rows of two lists.

    Attributes:
        pairs: Index in the first list and in the second, in the order of the
            first.
        by: `"name"` or `"order"`, how the pairs were made.
    """

    pairs: tuple[tuple[int, int], ...]
    by: str = "name"

    def unpaired(self, side: int, count: int) -> list[int]:
        """List the indices in one list that have no partner in the other.

        Args:
            side: 0 for the first list, 1 for the second.
            count: The length of that list.
        """
        paired = {pair[side] for pair in self.pairs}
        return [index for index in range(count) if index not in paired]


def match(
    names_a: Sequence[str],
    kinds_a: Sequence[Hashable],
    names_b: Sequence[str],
    kinds_b: Sequence[Hashable],
) -> Matching:
    """Pair rows of the same name, or else by forward order and kind.

    Forward order decides where no name is common, and where only forward order
    gives every row of the shorter list a partner of its kind. Names fail where
    Keras continues its count: in a second run of the same process `dense` and
    `dense_1` are called `dense_1` and `dense_2`.

    Args:
        names_a: Unique names of the first run's rows, in forward order.
        kinds_a: The kind of each row, such as its shape or class.
        names_b: Names of the second run's rows.
        kinds_b: Their kinds.

    Examples:
        >>> match(["a", "b"], ["3x3", "3"], ["b", "a"], ["3", "3x3"])
        Matching(pairs=((0, 1), (1, 0)), by='name')
        >>> match(["dense"], ["3x3"], ["dense_1"], ["3x3"])
        Matching(pairs=((0, 0),), by='order')
    """
    places = {name: index for index, name in enumerate(names_b)}
    by_name = tuple(
        (index, places[name])
        for index, name in enumerate(names_a)
        if name in places
    )
    same_kind = sum(kinds_a[i] == kinds_b[j] for i, j in by_name)
    shorter = min(len(names_a), len(names_b))
    if by_name and same_kind == shorter:
        return Matching(by_name)  # forward order has no more pairs
    by_order = _in_order(kinds_a, kinds_b)
    if not by_name or same_kind < len(by_order) == shorter:
        return Matching(by_order, "order" if by_order else "name")
    return Matching(by_name)


def _in_order(kinds_a, kinds_b) -> tuple[tuple[int, int], ...]:
    if len(kinds_a) * len(kinds_b) > _MOST_PAIRS:
        pairs = enumerate(zip(kinds_a, kinds_b, strict=False))
        same = itertools.takewhile(lambda pair: pair[1][0] == pair[1][1], pairs)
        return tuple((index, index) for index, _ in same)
    # With `autojunk`, a kind that makes over 1 % of 200 or more rows is
    # ignored. In a deep network of equal layers that is every kind.
    matcher = difflib.SequenceMatcher(None, kinds_a, kinds_b, autojunk=False)
    return tuple(
        (block.a + offset, block.b + offset)
        for block in matcher.get_matching_blocks()
        for offset in range(block.size)
    )
