"""A record as HTML, for the end of a notebook's cell."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import numpy as np

from gradscope.drawing import palette, png
from gradscope.drawing.grid import Grid
from gradscope.terminal import counted

if TYPE_CHECKING:
    from gradscope.reading.record import Record

# Columns of the small picture, and pixels of a row.
_WIDTH, _LINE = 360, 8
_MOST_LINES = 40


def summary(record: Record) -> str:
    """Describe a record in a line, without its numbers."""
    steps = record.steps
    span = f" from {steps[0]} to {steps[-1]}" if len(steps) else ""
    parts = [
        counted(len(steps), "step") + span,
        counted(len(record.layers), "layer"),
        counted(len(record.variables), "variable"),
    ]
    if record.activations:
        parts.append(counted(len(record.activations), "activation"))
    if record.damage:
        parts.append("damaged in part")
    return ", ".join(parts)


def to_html(record: Record, grid: Grid | None) -> str:
    """Format a record as HTML: its size, a picture, and its statistics.

    Args:
        record: The record.
        grid: The grid of the picture; None for no picture.
    """
    lists = "".join(
        f"<tr><th style='text-align:left'>{html.escape(family)}</th>"
        f"<td style='text-align:left'>{_names(record.schema.columns[family])}"
        "</td></tr>"
        for family in record.families
    )
    return (
        f"<div><b>{html.escape(str(record.run))}</b><br>{summary(record)}"
        f"{_picture(grid)}<details><summary>statistics: "
        "<code>record[name]</code></summary>"
        f"<table>{lists}</table></details></div>"
    )


def _picture(grid: Grid | None) -> str:
    if grid is None or not grid.values.size:
        return ""
    colors = palette.colors_of(grid.positions.T, grid.kinds.T)
    rows, columns, _ = colors.shape
    across = np.linspace(0, columns - 1, _WIDTH).round().astype(int)
    lines = min(rows, _MOST_LINES)
    down = np.linspace(0, rows - 1, lines).round().astype(int)
    pixels = np.repeat(colors[down][:, across], _LINE, axis=0)
    text = f"{grid.label} of each row, input at the top, by steps"
    return (
        f"<br><img alt='{html.escape(text)}' title='{html.escape(text)}' "
        f"width='{_WIDTH}' src='{png.data_url(pixels)}'><br>"
    )


def _names(names) -> str:
    return ", ".join(f"<code>{html.escape(name)}</code>" for name in names)
