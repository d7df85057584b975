"""Chooses the parts that a report leaves out, and the steps that stay."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gradscope_plugin.report.routes import OPTIONAL

if TYPE_CHECKING:
    from gradscope.reading.record import Record

#: Bytes of the file that a number takes: as it was recorded, rounded to three
#: digits, and as a count of a histogram, most of which are zero. The runs of
#: `benchmarks/report.py`, whose numbers differ by 30 % from step to step,
#: deflate as badly.
EXACT_BYTES, ROUNDED_BYTES, COUNT_BYTES = 4.4, 1.7, 0.4

#: Steps of a run above which a report leaves out whole parts before it leaves
#: out further steps: a heatmap has few more columns on a small screen.
ENOUGH = 250

#: Steps of maps of units and of histograms in a report that is thinned.
RARE = 40

#: Steps of a run that stay in any case.
LEAST = 16


@dataclasses.dataclass(frozen=True)
class Size:
    """How much a run has to show.

    Attributes:
        steps: Number of recorded steps.
        numbers: For each part (`""` is that of each report) how many numbers
            a step has.
        rare_steps: Likewise the number of steps of parts that only some steps
            have.
    """

    steps: int
    numbers: Mapping[str, int]
    rare_steps: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Plan:
    """The contents of a report.

    Attributes:
        left_out: The parts that it lacks.
        rounded: Whether its numbers are rounded to three digits.
        steps: Most steps of a run; None for all.
    """

    left_out: tuple[str, ...] = ()
    rounded: bool = False
    steps: int | None = None


def plan(sizes: Sequence[Size], most_bytes: float) -> Plan:
    """Plan a report of some bytes that leaves out as little as possible.

    First it rounds numbers, then it thins out steps; below `ENOUGH` steps it
    leaves out parts, one after the other.

    Args:
        sizes: A size for each run.
        most_bytes: Bytes of the file.
    """
    for rounded in (False, True):
        if estimate(sizes, Plan(rounded=rounded)) <= most_bytes:
            return Plan(rounded=rounded)
    for count in range(len(OPTIONAL) + 1):
        thinned = _thinned(sizes, most_bytes, OPTIONAL[:count])
        if thinned.steps is None or thinned.steps >= ENOUGH:
            return thinned
    return thinned


def _thinned(sizes, most_bytes, left_out) -> Plan:
    """Plan the number of steps, the largest for which the bytes suffice."""
    low, high = LEAST, max(size.steps for size in sizes)
    thinned = Plan(left_out, rounded=True)
    if estimate(sizes, dataclasses.replace(thinned, steps=high)) <= most_bytes:
        return thinned
    while low < high:
        middle = (low + high + 1) // 2
        trial = dataclasses.replace(thinned, steps=middle)
        if estimate(sizes, trial) <= most_bytes:
            low = middle
        else:
            high = middle - 1
    return dataclasses.replace(thinned, steps=low)


def estimate(sizes: Iterable[Size], planned: Plan) -> float:
    """Estimate the bytes of a report of some runs."""
    each = ROUNDED_BYTES if planned.rounded else EXACT_BYTES
    total = 0.0
    for size in sizes:
        for part, numbers in size.numbers.items():
            if part in planned.left_out:
                continue
            steps = size.rare_steps.get(part, size.steps)
            most = planned.steps
            if most is not None:
                most = RARE if part in size.rare_steps else most
                steps = min(steps, most)
            total += (
                numbers
                * steps
                * (COUNT_BYTES if part == "histograms" else each)
            )
    return total


def choose_steps(
    record: Record, most: int, marked: Collection[int] = ()
) -> np.ndarray:
    """Choose the steps of a run that stay, as indices `[most]` or fewer.

    The first and the last step stay, those in `marked`, and those at which a
    number becomes NaN or infinite, or ends to be. A half of the others is
    evenly spaced. The remaining ones are extremes: steps at which a layer's
    gradient norm is furthest from the straight line, on a log scale, between
    its neighbours that stay.

    Args:
        record: The run.
        most: How many steps may stay.
        marked: Steps that stay before others, such as those of findings.
    """
    count = len(record.steps)
    if count <= most:
        return np.arange(count)
    try:
        norms = record.by_layer("gradient_norm")
    except KeyError:  # a file that ends before the first variables
        norms = np.zeros([count, 0], np.float32)
    stays = np.zeros(count, bool)
    stays[[0, -1]] = True
    for indices in (
        np.flatnonzero(np.isin(record.steps, list(marked))),
        _changes(np.isfinite(norms)),
    ):
        # In a run that is NaN in every other step, these are all steps.
        stays[indices[: (most - int(stays.sum())) // 4]] = True
    stays[evenly(count, (most - int(stays.sum())) // 2)] = True
    departure = _departure(norms, np.flatnonzero(stays))
    departure[stays] = 0
    left = most - int(stays.sum())
    extremes = np.argsort(-departure)[:left]
    stays[extremes[departure[extremes] > 0]] = True
    # In a run without extremes there is room for more.
    free = np.flatnonzero(~stays)
    stays[free[evenly(len(free), most - int(stays.sum()))]] = True
    return np.flatnonzero(stays)


def evenly(count: int, most: int) -> np.ndarray:
    """Choose at most `most` of `count` indices, the first and the last too."""
    if count <= most:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, most).round().astype(int))


def _changes(flags: np.ndarray) -> np.ndarray:
    """Find where a row of `[T, rows]` changes: the step, and that before it."""
    after = np.flatnonzero((flags[1:] != flags[:-1]).any(axis=1)) + 1
    return np.unique(np.concatenate([after - 1, after]))


def _departure(norms: np.ndarray, staying: np.ndarray) -> np.ndarray:
    """Compute for each step how far a row is from the line between its
    neighbours that stay, in powers of ten; that of the furthest row."""
    positive = np.isfinite(norms) & (norms > 0)
    logs = np.log10(np.where(positive, norms, 1.0))
    times = np.arange(len(norms))
    left = np.searchsorted(staying, times, side="right") - 1
    # The last step stays: it ends the last line and begins none.
    left = np.clip(left, 0, len(staying) - 2)
    start, end = staying[left], staying[left + 1]
    share = ((times - start) / (end - start))[:, np.newaxis]
    line = (1 - share) * logs[start] + share * logs[end]
    is_defined = positive & positive[start] & positive[end]
    return np.where(is_defined, np.abs(logs - line), 0).max(axis=1, initial=0)
