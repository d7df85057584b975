"""Earlier trainings in the directory of a run, which are shown as own runs.

A directory may hold a training with one model, and a later one with another
model, which made all steps of the first again. The record of the run is then
that of the later training; the steps of the earlier one have tags of their own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from gradscope.format import schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Series = TypeVar("Series")

# A run's own name may have an `@` or a line break, too.
_NAME = re.compile(r"(.*)@([0-9a-f]{8}(?:\+[0-9a-f]{8})*)", re.DOTALL)


def name(run: str, schema_ids: Iterable[str]) -> str:
    """Build the name of the earlier training that has these schemas.

    Examples:
        >>> name("mlp/gradscope", ["1a2b3c4d"])
        'mlp/gradscope@1a2b3c4d'
    """
    return f"{split(run)[0]}@{'+'.join(schema_ids)}"


def split(run: str) -> tuple[str, frozenset[str]]:
    """Split a name into the run of TensorBoard and ids of schemas.

    There are no ids in the name of a run that is no earlier training.
    """
    match = _NAME.fullmatch(run)
    if match is None:
        return run, frozenset()
    return match[1], frozenset(match[2].split("+"))


def select(tags: Mapping[str, Series], run: str) -> dict[str, Series]:
    """Select the tags of gradscope that a run has: of its schemas, or all."""
    _, schema_ids = split(run)
    selected = {}
    for tag, series in tags.items():
        parsed = schema.parse_tag(tag)
        if parsed and (not schema_ids or parsed[1] in schema_ids):
            selected[tag] = series
    return selected
