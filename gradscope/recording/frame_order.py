"""Puts the frames of recorded steps into the order of their steps.

TensorBoard's default loader forgets the points of a tag from the step of a late
point on, so a late frame would hide those before it. A training that was
restarted from an earlier step is to hide them.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import groupby
from typing import TypeVar

import numpy as np

from gradscope.format.step_layout import is_skip

Frame = tuple[int, np.ndarray]
Source = TypeVar("Source", bound=Hashable)


def last_of_each_step(
    frames: Sequence[Frame],
) -> tuple[list[Frame], list[int]]:
    """Select the last of consecutive frames of one step.

    It is of the step that was made; those before are of tries that a loss scale
    skipped, or of threads that trained one model at once. A tag has one value
    for each step.

    Args:
        frames: The frames of one ring, as they were appended.

    Returns:
        The frames, and the numbers of the steps that are lost: all that are
        left out but skipped tries.
    """
    groups = [list(group) for _, group in groupby(frames, key=_step)]
    lost = [
        step for group in groups for step, row in group[:-1] if not is_skip(row)
    ]
    return [group[-1] for group in groups], lost


def rising(
    frames: Sequence[Frame], after: int = -1
) -> tuple[list[Frame], list[int]]:
    """Order frames by step, and leave out those that are too late.

    Args:
        frames: Frames between two times that the training went back.
        after: The step behind which they are to be written.

    Returns:
        The frames, and the steps of those that are lost.

    Examples:
        >>> steps = lambda *numbers: [(n, np.zeros(8)) for n in numbers]
        >>> frames, lost = rising(steps(4, 6, 5, 2, 7), after=3)
        >>> [step for step, _ in frames], lost
        ([4, 5, 6, 7], [2])
    """
    in_time = [frame for frame in frames if frame[0] > after]
    too_late = [step for step, _ in frames if step <= after]
    made, unwritten = last_of_each_step(sorted(in_time, key=_step))
    return made, too_late + unwritten


def rounds(
    frames_of: Sequence[tuple[Source, list[Frame]]], last_step: int
) -> list[list[tuple[Source, Frame]]]:
    """Merge the frames of several rings by step, one list for each restart.

    The frames of each ring keep their order: those of before a restart are in
    an earlier round.

    Args:
        frames_of: For each ring its source and its frames.
        last_step: The step that was written last.

    Examples:
        Of steps 4 to 7, the training went back to 2.

        >>> steps = lambda *numbers: [(n, np.zeros(8)) for n in numbers]
        >>> rings = [("a", steps(4, 6, 2)), ("b", steps(5, 7, 3))]
        >>> [[step for _, (step, _) in each] for each in rounds(rings, 3)]
        [[4, 5, 6, 7], [2, 3]]
    """
    of_number: dict[int, list[tuple[Source, Frame]]] = {}
    for source, frames in frames_of:
        number, before = 0, last_step
        for frame in frames:
            number += frame[0] < before
            before = frame[0]
            of_number.setdefault(number, []).append((source, frame))
    return [
        # A step precedes its skipped tries in other rings, which are then left
        # out.
        sorted(
            of_number[number],
            key=lambda pair: (pair[1][0], is_skip(pair[1][1])),
        )
        for number in sorted(of_number)
    ]


def split_at_common_end(
    frames: Sequence[tuple[Source, Frame]], awaited: Sequence[int] = ()
) -> tuple[list[tuple[Source, Frame]], dict[Source, list[Frame]]]:
    """Split a round where the first of its rings ends.

    While one ring was fetched, the program appended to the others: frames may
    be missing between the later ones.

    Args:
        frames: The frames of a round, with their sources.
        awaited: Steps whose frames are not complete yet; none of those from
            there on is written before.

    Returns:
        The frames up to there, and the later ones by source.
    """
    last_steps = {source: frame[0] for source, frame in frames}
    end = min([*last_steps.values(), *(step - 1 for step in awaited)])
    complete = [pair for pair in frames if pair[1][0] <= end]
    later: dict[Source, list[Frame]] = {}
    for source, frame in frames[len(complete) :]:
        later.setdefault(source, []).append(frame)
    return complete, later


def _step(frame: Frame) -> int:
    return frame[0]
