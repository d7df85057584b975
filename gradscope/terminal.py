"""Formats text for a terminal and values for JSON, for all commands."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable
from typing import Any

#: Characters of a line.
WIDTH = 80

#: Most names that a list shows; further ones are counted.
MOST_NAMES = 10


def printable(text: str) -> str:
    """Escape control characters, since names come from files."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode()
        for c in text
    )


def paragraph(text: str, indent: str = "  ") -> str:
    """Break a text into printable lines, all but the first indented twice."""
    return textwrap.fill(
        printable(text),
        WIDTH,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def join_names(names: Iterable[str]) -> str:
    """Join names by commas; a long list ends with a count of further ones."""
    names = list(names)
    omitted = len(names) - MOST_NAMES
    more = f" and {omitted} more" if omitted > 0 else ""
    return ", ".join(names[:MOST_NAMES]) + more


def json_value(value: Any) -> Any:
    """Convert a value for JSON: NaN and infinities become None (null).

    Examples:
        >>> json_value({"loss": float("nan"), "steps": (0, 1)})
        {'loss': None, 'steps': [0, 1]}
    """
    if isinstance(value, dict):
        return {str(key): json_value(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(part) for part in value]
    # JSON has no such numbers, and a strict parser refuses a file with them.
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def counted(count: int, word: str) -> str:
    """Format a count with its word, as in `"1 step"` or `"2 steps"`."""
    return f"{count} {word}{'' if count == 1 else 's'}"
