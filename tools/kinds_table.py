"""Writes the table of docs/findings.md from the declared kinds of finding.

    python -m tools.kinds_table

A test compares the table with the declarations.
"""

from __future__ import annotations

import pathlib

import gradscope.diagnosis  # noqa: F401 (declares the kinds)
from gradscope.diagnosis.kinds import by_rank

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "findings.md"

#: The first line of the table, which ends at an empty line.
HEAD = "| Kind | At worst | What is wrong | Needs |"


def table() -> str:
    """Format all kinds of finding as a table in Markdown."""
    rows = [
        f"| `{kind.name}` | {kind.ceiling} | {kind.what} | {kind.needs} |"
        for kind in by_rank()
    ]
    return "\n".join([HEAD, "|---|---|---|---|", *rows])


def renewed(page: str) -> str:
    """Replace the table in the text of the page."""
    before, _, after = page.partition(HEAD)
    _, end, rest = after.partition("\n\n")
    return before + table() + end + rest


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text("utf-8")), "utf-8")
