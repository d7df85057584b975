"""Draws a grid with matplotlib, for papers: heatmap, curves, depth profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.drawing import palette
from gradscope.drawing.grid import KIND_NAMES, Grid, Kind

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: What `plot` draws.
KINDS = ("heatmap", "curves", "depth")

# More rows have no name each, and more curves a colour by depth each.
_NAMED = 40
_CURVES = 10

# Most numbers beside a log scale.
_TICKS = 8

# Steps of a depth profile.
_PROFILES = 5

_NEEDED = (
    "`plot` draws with matplotlib, which is not installed. Run: pip install "
    "'gradscope[plot]'."
)


def plot(grid: Grid, kind: str, *, ax: Axes | None = None) -> Figure:
    """Draw a grid; return the figure.

    Args:
        grid: The numbers to draw.
        kind: One of `KINDS`.
        ax: Where to draw; a figure of its own by default.

    Raises:
        ModuleNotFoundError: If matplotlib is not installed.
        ValueError: If there is no such kind, or nothing to draw.
    """
    if kind not in KINDS:
        raise ValueError(
            f"`kind` must be one of {', '.join(KINDS)}; got {kind!r}."
        )
    if not grid.values.size:
        raise ValueError(
            f"the run has no row with the statistic {grid.statistic!r}. "
            "`record.statistics` lists those that it has."
        )
    try:
        from matplotlib import pyplot
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(_NEEDED, name=error.name) from error
    if ax is None:
        figure, ax = pyplot.subplots(
            figsize=_size(grid, kind), layout="constrained"
        )
        # A notebook would show it once more, as one that is open.
        pyplot.close(figure)
    draw = {"heatmap": _heatmap, "curves": _curves, "depth": _depth}[kind]
    draw(grid, ax)
    return ax.figure


def _size(grid: Grid, kind: str) -> tuple[float, float]:
    """Return inches, as wide as a column of text."""
    if kind != "heatmap":
        return 6.4, 3.6
    return 6.4, min(max(1.2 + 0.16 * len(grid.names), 2), 8)


def _heatmap(grid: Grid, ax: Axes) -> None:
    """Draw a row for each layer, the input at the top, over linear steps."""
    from matplotlib import cm, colors, patches

    edges = _edges(grid.steps)
    rows = np.arange(len(grid.names) + 1)
    cells = palette.colors_of(
        grid.positions.T,
        grid.kinds.T,
        two_sided=grid.scale.center is not None,
    )
    # In a PDF each cell would else be an object of its own, and a run has
    # thousands.
    ax.pcolormesh(edges, rows, cells, rasterized=True)
    ax.invert_yaxis()
    if len(grid.names) <= _NAMED:
        ax.set_yticks(rows[:-1] + 0.5, grid.names, fontsize=7)
        ax.tick_params(axis="y", length=0)
    else:
        ax.set_ylabel("row, input at the top")
    ax.set_xlabel("step")
    mapped = cm.ScalarMappable(_norm(grid), colors.ListedColormap(_table(grid)))
    bar = ax.figure.colorbar(mapped, ax=ax, label=grid.label, pad=0.02)
    bar.outline.set_visible(False)
    if grid.scale.is_log:
        low, high = np.log10(grid.scale.domain)
        powers = np.arange(np.ceil(low), np.floor(high) + 1).astype(int)
        # Rounded up, so that at most `_TICKS` remain.
        powers = powers[:: -(-len(powers) // _TICKS)] if len(powers) else powers
        bar.set_ticks(10.0**powers, labels=[f"$10^{{{p}}}$" for p in powers])
        bar.minorticks_off()
    marks = [
        patches.Patch(color=np.array(mark) / 255, label=KIND_NAMES[kind])
        for kind, mark in palette.MARKS.items()
        if (grid.kinds == kind).any()
    ]
    if marks:
        ax.legend(
            handles=marks,
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=len(marks),
            frameon=False,
            fontsize=7,
        )
    for side in ax.spines.values():
        side.set_visible(False)


def _curves(grid: Grid, ax: Axes) -> None:
    """Draw a curve for each row, over the steps."""
    numbers = _numbers(grid)
    many = len(grid.names) > _CURVES
    colors = _colors(len(grid.names))
    for row, name in enumerate(grid.names):
        ax.plot(
            grid.steps, numbers[:, row], color=colors[row], lw=1, label=name
        )
    _scale_axis(grid, ax.set_yscale, ax.set_ylabel)
    ax.set_xlabel("step")
    if many:
        _depth_bar(grid, ax)
    elif len(grid.names) > 1:
        ax.legend(
            frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1, 1)
        )
    _open(ax)


def _depth(grid: Grid, ax: Axes) -> None:
    """Draw the statistic against depth, a curve for some steps."""
    numbers = _numbers(grid)
    last = len(grid.steps) - 1
    columns = np.unique(np.linspace(0, last, _PROFILES).round().astype(int))
    depth = np.arange(len(grid.names))
    colors = _colors(len(columns))
    for color, column in zip(colors, columns, strict=True):
        ax.plot(
            depth,
            numbers[column],
            color=color,
            lw=1,
            marker="o" if len(depth) <= _NAMED else "",
            ms=3,
            label=f"step {grid.steps[column]}",
        )
    _scale_axis(grid, ax.set_yscale, ax.set_ylabel)
    if len(depth) <= _NAMED:
        ax.set_xticks(depth, grid.names, rotation=90, fontsize=7)
    else:
        ax.set_xlabel("row, from the input to the output")
    ax.legend(frameon=False, fontsize=7)
    _open(ax)


def _numbers(grid: Grid) -> np.ndarray:
    """Return the numbers that a curve can show; the others are gaps."""
    return np.where(grid.kinds == Kind.NUMBER, grid.values, np.nan)


def _colors(count: int) -> np.ndarray:
    """Return colours from the first row to the last, none of them too light."""
    places = np.linspace(0, 215, count).round().astype(int)
    return palette.SEQUENTIAL[places] / 255


def _scale_axis(grid: Grid, set_scale, set_label) -> None:
    set_scale("log" if grid.scale.is_log else "linear")
    set_label(grid.label)


def _depth_bar(grid: Grid, ax: Axes) -> None:
    """Explain the colours of many curves."""
    from matplotlib import cm, colors

    mapped = cm.ScalarMappable(
        colors.Normalize(0, len(grid.names) - 1),
        colors.ListedColormap(_colors(256)),
    )
    bar = ax.figure.colorbar(mapped, ax=ax, pad=0.02)
    bar.set_ticks(
        [0, len(grid.names) - 1], labels=[grid.names[0], grid.names[-1]]
    )
    # As in a heatmap, the input is at the top.
    bar.ax.invert_yaxis()
    bar.outline.set_visible(False)


def _norm(grid: Grid):
    from matplotlib import colors

    low, high = grid.scale.domain
    if grid.scale.center is not None and low < grid.scale.center < high:
        # matplotlib places the numbers of a colour bar by the inverse of its
        # scale, which a table gives for every kind of scale.
        return colors.FuncNorm(
            (grid.scale.positions, lambda y: _inverse(grid.scale, y)), low, high
        )
    if grid.scale.is_log:
        return colors.LogNorm(low, high)
    return colors.Normalize(low, high)


def _inverse(scale, positions):
    """Return the numbers at some positions of a scale with a center."""
    low, high = scale.domain
    if scale.is_log:
        table = np.geomspace(low, high, 2001)
    else:
        table = np.linspace(low, high, 2001)
    return np.interp(positions, scale.positions(table), table)


def _table(grid: Grid) -> np.ndarray:
    two_sided = grid.scale.center is not None
    table = palette.TWO_SIDED if two_sided else palette.SEQUENTIAL
    return table / 255


def _edges(steps: np.ndarray) -> np.ndarray:
    """Return the ends of the steps' columns: a step lasts up to the next."""
    last = steps[-1] - steps[-2] if len(steps) > 1 else 1
    return np.append(steps, steps[-1] + last)


def _open(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.3, lw=0.5)
