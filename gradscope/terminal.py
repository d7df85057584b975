"""Text for a terminal, and values for JSON, as all commands print them."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable

#: Characters of a line.
WIDTH = 80

#: Names that a list has before the others are only counted.
MOST_NAMES = 10


def printable(text: str) -> str:
    """Escapes what could move a terminal's cursor: names come from files."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode()
        for c in text
    )


def paragraph(text: str, indent: str = "  ") -> str:
    """Breaks a text into printable lines, all but the first indented twice."""
    return textwrap.fill(
        printable(text),
        WIDTH,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def listed(names: Iterable[str]) -> str:
    """Joins names by commas; of many, the first ones and how many follow."""
    names = list(names)
    others = len(names) - MOST_NAMES
    more = f" and {others} more" if others > 0 else ""
    return ", ".join(names[:MOST_NAMES]) + more


def json_value(value):
    """Converts a value to one that JSON has; NaN and infinities are null."""
    if isinstance(value, dict):
        return {str(key): json_value(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
