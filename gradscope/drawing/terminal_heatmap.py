"""Draws a grid as blocks of colour in a terminal, or as letters without."""

from __future__ import annotations

import dataclasses
import itertools
import textwrap
from typing import TYPE_CHECKING

import numpy as np

from gradscope.drawing import merged_rows, palette
from gradscope.drawing.grid import KIND_NAMES, Grid, Kind
from gradscope.terminal import WIDTH, printable

if TYPE_CHECKING:
    from rich.text import Text

#: Most lines of a heatmap; more rows share them, neighbours with each other.
MOST_LINES = 40

#: Characters of a row's name.
_NAME = 22

# Without colour: from the lower end of a scale to the upper one.
_RAMP = " .:-=+*#%@"

_LETTERS = {
    Kind.ZERO: "0",
    Kind.NAN: "N",
    Kind.INFINITE: "I",
    Kind.MISSING: "?",
    Kind.ABSENT: "_",
}


@dataclasses.dataclass(frozen=True)
class Picture:
    """A heatmap whose cells are characters.

    Attributes:
        grid: The grid that it shows.
        names: Name of each line.
        positions: Position on the scale of each cell, [lines, columns].
        kinds: `Kind` of each cell.
    """

    grid: Grid
    names: tuple[str, ...]
    positions: np.ndarray
    kinds: np.ndarray

    @property
    def first(self) -> int:
        """The first step."""
        return int(self.grid.steps[0])

    @property
    def last(self) -> int:
        """The last step."""
        return int(self.grid.steps[-1])


def picture(grid: Grid, width: int) -> Picture:
    """Fit a grid into lines of a terminal.

    Where several steps share a character, the most abnormal one is shown: NaN
    before zero, and among numbers the one furthest from the middle of the
    scale. Where several rows share a line, it shows the same row throughout,
    after which it is called; see `merged_rows`.

    Args:
        grid: The grid.
        width: Characters of a line.
    """
    columns = max(1, width - _NAME - 1)
    steps = _pieces(len(grid.steps), columns)
    pieces = _pieces(len(grid.names), MOST_LINES)
    weights, positions = merged_rows.weights_of(grid), grid.positions
    lines = [_line(grid, weights, rows, steps) for rows in pieces]
    at = tuple(np.array([cells for _, cells in lines]).transpose(2, 0, 1))
    names = tuple(
        _name(grid.names[lead], rows.stop - rows.start)
        for rows, (lead, _) in zip(pieces, lines, strict=True)
    )
    return Picture(grid, names, positions[at], grid.kinds[at])


def _pieces(count: int, most: int) -> list[slice]:
    """Split a range into at most `most` pieces of about the same length."""
    edges = np.linspace(0, count, min(count, most) + 1).round().astype(int)
    return [slice(*pair) for pair in itertools.pairwise(edges)]


def _line(
    grid: Grid, weights: np.ndarray, rows: slice, steps: list[slice]
) -> tuple[int, list[tuple[int, int]]]:
    """Return the row that stands for some, and the cells that are drawn."""
    shared = weights[:, rows]
    lead = merged_rows.lead_of(shared, grid.sizes[rows])
    drawn = rows.start + merged_rows.drawn_rows(shared, lead)
    line = weights[np.arange(len(drawn)), drawn]
    # Of several steps the worst cell is drawn: one NaN among many must show.
    worst = [piece.start + int(line[piece].argmax()) for piece in steps]
    return rows.start + lead, [(step, int(drawn[step])) for step in worst]


def _name(name: str, count: int) -> str:
    """Return the name of a line: its row, and how many others share it."""
    more = f" +{count - 1}" if count > 1 else ""
    return _shorten(name, _NAME - len(more)) + more


def _shorten(name: str, most: int) -> str:
    """Shorten a name in its middle: both of its ends tell rows apart."""
    name = printable(name)
    if len(name) <= most:
        return name
    head = (most - 1) // 2
    return f"{name[:head]}…{name[len(name) - (most - 1 - head) :]}"


def plain(shown: Picture) -> str:
    """Format a picture as text: lighter and darker letters."""
    inside = np.clip(np.nan_to_num(shown.positions), 0, 1)
    letters = np.array(list(_RAMP))[
        np.rint((len(_RAMP) - 1) * inside).astype(int)
    ]
    for kind, letter in _LETTERS.items():
        letters[shown.kinds == kind] = letter
    lines = [
        f"{name:>{_NAME}} {''.join(line)}"
        for name, line in zip(shown.names, letters, strict=True)
    ]
    low, high = shown.grid.scale.domain
    legend = [f"'{_RAMP[0]}' {low:g} to '{_RAMP[-1]}' {high:g}"]
    legend += [f"'{_LETTERS[k]}' {KIND_NAMES[k]}" for k in _kinds(shown)]
    explained = textwrap.fill(
        ", ".join(legend),
        WIDTH,
        initial_indent=_indent(""),
        subsequent_indent=_indent(""),
    )
    return "\n".join([*lines, _axis(shown), explained])


def colored(shown: Picture) -> Text:
    """Format a picture as text of `rich`: a cell is a space of its colour."""
    from rich.style import Style
    from rich.text import Text

    def style(color) -> Style:
        red, green, blue = (int(part) for part in color)
        return Style(color="white", bgcolor=f"rgb({red},{green},{blue})")

    two_sided = shown.grid.scale.center is not None
    colors = palette.colors_of(
        shown.positions, shown.kinds, two_sided=two_sided
    )
    text = Text(no_wrap=True)
    for name, line, kinds in zip(
        shown.names, colors, shown.kinds.tolist(), strict=True
    ):
        text.append(f"{name:>{_NAME}} ")
        for color, kind in zip(line, kinds, strict=True):
            # A letter tells black from the terminal's own background.
            text.append(_LETTERS.get(kind, " "), style(color))
        text.append("\n")
    text.append(_axis(shown) + "\n", Style(dim=True))
    low, high = shown.grid.scale.domain
    text.append(_indent(f"{low:g} "))
    ramp = palette.TWO_SIDED if two_sided else palette.SEQUENTIAL
    for color in ramp[:: len(ramp) // 16]:
        text.append(" ", style(color))
    text.append(f" {high:g}")
    for number, kind in enumerate(_kinds(shown)):
        # Three names fit into a line.
        text.append("  " if number % 3 else f"\n{_indent('')}")
        text.append(_LETTERS[kind], style(palette.MARKS[kind]))
        text.append(f" {KIND_NAMES[kind]}")
    return text


def _kinds(shown: Picture) -> list[Kind]:
    """List the kinds of cells other than numbers that a picture has."""
    return [kind for kind in palette.MARKS if (shown.kinds == kind).any()]


def _axis(shown: Picture) -> str:
    """Return the line below a picture: the first and the last step."""
    first, last = f"step {shown.first}", str(shown.last)
    width = shown.kinds.shape[1]
    if width < len(first) + len(last) + 1:
        return _indent(f"{first} to {last}")
    return _indent(first + last.rjust(width - len(first)))


def _indent(text: str) -> str:
    return " " * (_NAME + 1) + text
