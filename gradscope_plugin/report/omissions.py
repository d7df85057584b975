"""Describes the omissions of a report, for the line above the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gradscope.terminal import counted
from gradscope_plugin.report import thinning
from gradscope_plugin.report.thinning import Plan, Size

_PARTS = {
    "histograms": "Histograms are left out.",
    "variables": "Rows for single variables are left out.",
    "units": "Maps of units are left out.",
}


def of_plan(
    planned: Plan, sizes: Sequence[Size], thinned: int
) -> Iterator[str]:
    """Describe the parts that a report leaves out.

    Args:
        planned: The plan of its contents.
        sizes: The size of each run.
        thinned: How many runs lack steps.
    """
    if thinned:
        which = "Each run" if thinned == len(sizes) else f"{thinned} runs"
        verb = "is" if thinned == len(sizes) else "are"
        yield (
            f"{which} {verb} thinned out to {planned.steps} of the recorded "
            "steps: the first and the last, those of findings, those at which "
            "a number becomes NaN or infinite, evenly spaced ones, and those "
            "at which a layer's gradient norm departs furthest from its "
            "neighbours."
        )
        if any(max(s.rare_steps.values()) > thinning.RARE for s in sizes):
            yield (
                f"Maps of units and histograms are shown of {thinning.RARE} "
                "evenly spaced steps."
            )
    if planned.rounded:
        yield "Numbers are rounded to three digits; counts are exact."
    for part in planned.left_out:
        if any(size.numbers.get(part) for size in sizes):
            yield _PARTS[part]
    if planned != Plan():
        yield (
            "Findings come from all recorded steps and exact numbers. "
            "`gradscope report --max-mb` makes a larger file that leaves out "
            "less."
        )


def of_runs(runs: Sequence[Mapping]) -> Iterator[str]:
    """Describe the losses and skipped steps of the runs' recording."""
    skipped = sum(run.get("skipped") or 0 for run in runs)
    if lost := lost_in(runs):
        yield f"{lost} during training."
    if skipped:
        yield f"{counted(skipped, 'step')} skipped by the loss scale."


def lost_in(runs: Sequence[Mapping]) -> str:
    """Count the records that were lost, as `"3 records lost"`; empty if none.

    Args:
        runs: The runs' fields of `/runs`.
    """
    lost = sum(run.get("dropped") or 0 for run in runs)
    return f"{counted(lost, 'record')} lost" if lost else ""
