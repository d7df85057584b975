"""Puts the frames of recorded steps into the order of their steps.

TensorBoard's default loader forgets the points of a tag from the step of a late
point on, so a late frame would hide those before it. A training that was
restarted from an earlier step is to hide them.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import groupby, pairwise
from typing import TypeVar

import numpy as np

from gradscope.format.step_layout import is_skip

Frame = tuple[int, np.ndarray]
Source = TypeVar("Source", bound=Hashable)


def last_of_each_step(frames: Sequence[Frame]) -> tuple[list[Frame], int]:
    """Select the last of consecutive frames of one step.

    It is of the step that was made; those before are of tries that a loss scale
    skipped, or of threads that trained one model at once. A tag has one value
    for each step.

    Args:
        frames: The frames of one ring, as they were appended.

    Returns:
        The frames, and the number of steps that are lost: all that are left out
        but skipped tries.
    """
    groups = [list(group) for _, group in groupby(frames, key=_step)]
    lost = sum(not is_skip(row) for group in groups for _, row in group[:-1])
    return [group[-1] for group in groups], lost


def rising(frames: Sequence[Frame]) -> list[Frame]:
    """Order frames `(step, numbers)` by step, unless the training restarted.

    A frame that another thread appended late lies between two later ones; after
    a restart, the next step is again an early one.

    Args:
        frames: The frames of one ring, consecutive ones of different steps.

    Examples:
        >>> steps = lambda *numbers: [(n, np.zeros(8)) for n in numbers]
        >>> [step for step, _ in rising(steps(4, 6, 5, 7))]
        [4, 5, 6, 7]
        >>> [step for step, _ in rising(steps(4, 5, 2, 3))]
        [4, 5, 2, 3]
    """
    late = {
        index
        for index, (before, frame, after) in enumerate(
            zip(frames, frames[1:], frames[2:], strict=False), 1
        )
        if frame[0] < before[0] < after[0]
    }
    in_time = [f for index, f in enumerate(frames) if index not in late]
    in_order = sorted(frames, key=_step)
    if _is_rising(in_time) and _is_rising(in_order):
        return in_order
    return list(frames)


def interleave(
    frames_of: Sequence[tuple[Source, list[Frame]]],
) -> list[tuple[Source, Frame]]:
    """Merge the frames of several rings by step.

    If a training restarted, the rings follow each other: then no order of steps
    is the right one.

    Args:
        frames_of: Frames by their source.
    """
    frames = [(source, frame) for source, each in frames_of for frame in each]
    if all(_is_rising(each) for _, each in frames_of):
        frames.sort(key=lambda pair: pair[1][0])
    return frames


def common_end(frames_of: Sequence[tuple[Source, list[Frame]]]) -> int:
    """Find the step up to which all rings that have frames are complete.

    While one ring was fetched, the program appended to the others.
    """
    return min(frames[-1][0] for _, frames in frames_of)


def _is_rising(frames: list[Frame]) -> bool:
    return all(a[0] < b[0] for a, b in pairwise(frames))


def _step(frame: Frame) -> int:
    return frame[0]
