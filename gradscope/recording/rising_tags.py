"""Chooses the tag of each value, so that the steps of every tag rise strictly.

TensorBoard's default loader forgets the points of a tag from the step of a
later point on, and an equal step replaces a point. But a step may have several
values: of a try that a loss scale skipped and of the step that was made after
all, of two notes, of two epochs without any step.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from gradscope.format import schema
from gradscope.recording.event_bytes import Panel

#: Most values that one step has under the names of one tag. A training of which
#: a loss scale skips all steps has them all at step 0.
MOST = 32


class RisingTags:
    """The tags of a run, with the step of the last value of each."""

    def __init__(self) -> None:
        self._last_steps: dict[str, int] = {}

    def place(self, values: Iterable[Panel], step: int) -> list[Panel] | None:
        """Give each value a tag whose last step is before this one.

        A family's further value of one step has a further name of its tag, see
        `schema.further_tag`. In TensorBoard's own tabs that would be another
        chart, so such a value is left out there.

        Args:
            values: Values with the first names of their tags.
            step: The step.

        Returns:
            The values to write; None if a tag has no more names.
        """
        placed = []
        for value in values:
            tag = self._free_name(value.tag, step)
            if tag is not None:
                placed.append(value._replace(tag=tag))
            elif schema.parse_tag(value.tag) is not None:
                return None
        self._last_steps |= dict.fromkeys((v.tag for v in placed), step)
        return placed

    def restart(self, step: int) -> None:
        """Note that steps are made again, from this one on."""
        self._last_steps = {
            tag: last for tag, last in self._last_steps.items() if last < step
        }

    def have_values_at(self, tags: Iterable[str], step: int) -> bool:
        """Test whether a tag's last step is not before a step."""
        return not all(self._is_free(tag, step) for tag in tags)

    def forget(self, tags: Iterable[str]) -> None:
        """Forget the last steps of tags, since another file begins."""
        for tag in tags:
            self._last_steps.pop(tag, None)

    def forget_families(self) -> None:
        """Forget the last steps of all tags of families, by any name."""
        self.forget([tag for tag in self._last_steps if schema.parse_tag(tag)])

    def _free_name(self, tag: str, step: int) -> str | None:
        if self._is_free(tag, step):
            return tag
        if schema.parse_tag(tag) is None:
            return None
        names = (schema.further_tag(tag, n) for n in range(2, MOST + 1))
        return next((name for name in names if self._is_free(name, step)), None)

    def _is_free(self, tag: str, step: int) -> bool:
        return step > self._last_steps.get(tag, -math.inf)
