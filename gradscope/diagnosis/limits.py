"""Limits of all rules, and findings that users ignore.

Users override them: `gradscope diagnose --set vanishing-gradient.ratio=0.001`,
or the argument `limits` of `gradscope.diagnose`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping

from gradscope.diagnosis import rules  # noqa: F401 (they declare the kinds)
from gradscope.diagnosis.finding import Finding
from gradscope.diagnosis.kinds import KINDS, Limit, by_rank

#: Limit of several kinds of finding.
_LEARNED = Limit(
    0.2,
    "share of the first loss by which the loss must have fallen for a "
    "network to count as learning",
)

#: All limits by `<kind>.<name>`, in the order of the kinds.
LIMITS: dict[str, Limit] = {
    f"{kind.name}.{name}": limit
    for kind in by_rank()
    for name, limit in kind.limits.items()
} | {"learned.fall": _LEARNED}


class Limits(Mapping[str, float]):
    """Limits by `<kind>.<name>`: the defaults, overridden by the user's.

    Args:
        overrides: Limits that the user set.

    Raises:
        ValueError: If a limit does not exist, or its value is not a finite
            number of 0 or more.

    Examples:
        >>> limits = Limits({"vanishing-gradient.ratio": 0.5})
        >>> limits["vanishing-gradient.ratio"]
        0.5
    """

    def __init__(self, overrides: Mapping[str, float] | None = None):
        self._values = {name: limit.default for name, limit in LIMITS.items()}
        for name, value in dict(overrides or {}).items():
            if name not in LIMITS:
                raise ValueError(
                    f"there is no limit {name!r}. Choose one of "
                    f"{', '.join(LIMITS)}."
                )
            self._values[name] = _number(name, value)

    def __getitem__(self, name: str) -> float:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _number(name: str, value: float | str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan  # refused below
    if not math.isfinite(number) or number < 0:
        raise ValueError(
            f"the limit {name!r} must be a number of 0 or more, got {value!r}."
        )
    return number


@dataclasses.dataclass(frozen=True)
class Ignore:
    """A kind of finding that the user wants left out.

    Attributes:
        kind: Name of the kind.
        layer: Name of the only layer to ignore it in; None for all layers.
    """

    kind: str
    layer: str | None = None

    @classmethod
    def parse(cls, text: str) -> Ignore:
        """Parse `KIND` or `KIND:LAYER`.

        Raises:
            ValueError: If the kind of finding does not exist.
        """
        kind, _, layer = text.partition(":")
        if kind not in KINDS:
            raise ValueError(
                f"there is no kind of finding {kind!r}. Choose one of "
                f"{', '.join(k.name for k in by_rank())}."
            )
        return cls(kind, layer or None)

    def covers(self, finding: Finding) -> bool:
        """Return whether a finding is to be left out."""
        return finding.kind == self.kind and self.layer in (
            None,
            finding.layer,
        )
