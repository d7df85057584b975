"""Locates the layer in which two functions part.

In the forward pass the first tensors that are computed from a variable (such as
its product with the layer's input) are compared. That is done example by
example, since one function may compute all examples in one pass and the other
in two. In the backward pass the gradients are compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradscope.evaluating.same_result import Evaluation, Row
    from gradscope.format.schema import Variable

#: Relative difference of an example's numbers up to which it is rounding.
ROUNDING = {"float64": 1e-7, "float32": 1e-3}

#: The most examples that are searched for in the other function.
MOST_EXAMPLES = 64


def locate_parting(
    variables: Sequence[Variable],
    rows: Sequence[Row],
    evaluation: Evaluation,
    precision: str,
    stopped: tuple[Sequence[str], Sequence[str]],
) -> tuple[str, str | None, str]:
    """Locate the layer in which two different functions part.

    Args:
        variables: The common variables, in forward order.
        rows: For each variable the difference of its gradients.
        evaluation: Losses, gradients and reads of both functions.
        precision: Precision of `evaluation`, `"float32"` or `"float64"`.
        stopped: For each function the names of operations that stop gradients.

    Returns:
        The way (`"forward"` or `"backward"`), the name of the layer or None,
        and the place in words.
    """
    distances = [
        largest_distance(a, b)
        for a, b in zip(evaluation.reads_a, evaluation.reads_b, strict=True)
    ]
    for variable, distance in zip(variables, distances, strict=True):
        if distance > ROUNDING[precision]:
            return (
                "forward",
                variable.layer,
                (
                    f"the first tensors computed from `{variable.name}` differ "
                    f"by {distance:.2g}, and everything before them agrees"
                ),
            )
    losses = evaluation.losses
    if not _close(*losses, ROUNDING[precision]):
        compared = [
            variable
            for variable, distance in zip(variables, distances, strict=True)
            if not np.isnan(distance)
        ]
        behind = f" after `{compared[-1].name}`" if compared else ""
        return (
            "forward",
            None,
            (
                "the losses differ, but no variable shows where the functions "
                f"part: look at what is computed{behind}, at the outputs and "
                "at the loss"
            ),
        )
    return _locate_backward(variables, rows, stopped)


def largest_distance(a: list[np.ndarray], b: list[np.ndarray]) -> float:
    """Compute how far apart two functions' arrays of one variable are.

    The first axis of an array is that of examples. Each example of the function
    that has fewer is searched for in the other, which may compute more than the
    loss needs. An array that is computed once for all examples (a vector, or a
    first axis of length 1) must be the same in both.

    Args:
        a: Arrays of the first function.
        b: Arrays of the second function.

    Returns:
        The largest relative distance of an example from its nearest one; NaN
        where the arrays cannot be compared.
    """
    pools = _examples(a), _examples(b)
    distances = []
    for key in set(pools[0]) & set(pools[1]):
        few, many = sorted((pool[key] for pool in pools), key=len)
        distances.append(_distance(few, many))
        if key[0] == "once":
            distances.append(_distance(many, few))
    return max(distances, default=float("nan"))


def _examples(arrays: list) -> dict[tuple, np.ndarray]:
    """Group the examples of arrays by their size, as `[N, size]`.

    A key is `("each", size)`, or `("once", size)` of an array for all examples.
    """
    groups: dict[tuple, list] = {}
    for array in arrays:
        if not array.ndim or not array.size:
            continue
        once = array.ndim == 1 or len(array) == 1
        rows = array.reshape((1 if once else len(array), -1))
        key = ("once" if once else "each", rows.shape[1])
        groups.setdefault(key, []).append(rows)
    return {key: np.concatenate(rows) for key, rows in groups.items()}


def _distance(few: np.ndarray, many: np.ndarray) -> float:
    """Compute the largest distance of examples from the nearest of others."""
    scale = max(np.linalg.norm(rows, axis=1).max() for rows in (few, many))
    if not scale:
        return 0.0
    # The step is rounded up, so that at most `MOST_EXAMPLES` are taken, from
    # the whole batch and not from its beginning.
    sample = few[:: -(-len(few) // MOST_EXAMPLES)]
    distances = [
        np.min(np.linalg.norm(many - example, axis=1)) for example in sample
    ]
    return float(np.max(distances) / scale)


def _close(a: float, b: float, limit: float) -> bool:
    return abs(a - b) <= limit * max(abs(a), abs(b))


def _locate_backward(variables, rows, stopped) -> tuple:
    differing = [i for i, row in enumerate(rows) if row.differs]
    if not differing:
        return (
            "forward",
            None,
            (
                "the losses and the gradients of all common variables agree, "
                "but some variables belong to only one of the functions"
            ),
        )
    # A gradient flows from the last layer to the first, so the last variable
    # that differs is the first to be wrong.
    last = differing[-1]
    agreeing = [
        i
        for i, row in enumerate(rows)
        if i > last and not row.noise and row.differs is False
    ]
    # A common factor comes from the loss (a sum in place of a mean, or a
    # weight), and then no layer is to blame.
    scale = _common_scale(rows)
    if scale is not None:
        return (
            "backward",
            None,
            (
                "the losses agree, and all gradients of the second function "
                f"are {scale:.6g} times those of the first"
            ),
        )
    layer = variables[agreeing[0] if agreeing else last].layer
    words = "the losses agree; going back from the loss, the gradients " + (
        f"agree down to `{variables[agreeing[0]].name}` and differ from "
        f"`{variables[last].name}` on: look at what `{layer}` computes "
        "from its input"
        if agreeing
        else f"differ from `{variables[last].name}` on"
    )
    return "backward", layer, words + _note_of_stops(stopped)


def _note_of_stops(stopped) -> str:
    """Name operations that stop gradients in only one of the functions."""
    counts = [len(names) for names in stopped]
    if counts[0] == counts[1]:
        return ""
    more = int(counts[1] > counts[0])
    which = ("first", "second")
    in_other = set(stopped[1 - more])
    names = [n for n in stopped[more] if n not in in_other] or stopped[more]
    return (
        f" (the {which[more]} function has a `stop_gradient` that the "
        f"{which[1 - more]} does not have: {', '.join(names[:3])})"
    )


def _common_scale(rows) -> float | None:
    """Compute the factor between the gradients of both functions, if all
    gradients have the same."""
    differences = [row.float64 or row.float32 for row in rows if not row.noise]
    if any(not d.norm_a or not d.cosine > 1 - 1e-6 for d in differences):
        return None
    scales = [d.norm_b / d.norm_a for d in differences]
    return (
        scales[0] if scales and _close(min(scales), max(scales), 1e-4) else None
    )
