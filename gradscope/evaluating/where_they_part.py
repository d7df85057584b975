"""Where two functions part, from what they compute on their way.

On the way forward what is made of a variable first (its product with the
layer's input, say) is held beside the same of the other function, example by
example: one may compute all examples in one pass and the other in two. On the
way back the gradients themselves tell.
"""

from __future__ import annotations

import numpy as np

#: Relative difference of one example's numbers that is rounding.
ROUNDING = {"float64": 1e-7, "float32": 1e-3}

#: Examples that are looked for in the other function.
MOST_EXAMPLES = 64


def place(variables, rows, evaluation, precision: str, stopped) -> tuple:
    """Returns the way on which two functions part, the layer, and words.

    Args:
        variables: In forward order.
        rows: Of each what its gradients are.
        evaluation: What both computed.
        precision: In which.
        stopped: Names of the operations of each that stop gradients.
    """
    far = [
        apart(a, b)
        for a, b in zip(evaluation.reads_a, evaluation.reads_b, strict=True)
    ]
    for variable, distance in zip(variables, far, strict=True):
        if distance > ROUNDING[precision]:
            return (
                "forward",
                variable.layer,
                (
                    f"what the forward pass makes of {variable.name} differs "
                    f"by {distance:.2g}, and all before it agrees"
                ),
            )
    losses = evaluation.losses
    if not _close(*losses, ROUNDING[precision]):
        known = [v for v, d in zip(variables, far, strict=True) if d == d]
        behind = f" behind {known[-1].name}" if known else ""
        return (
            "forward",
            None,
            (
                "the losses differ and no variable tells why: look at what is "
                f"computed{behind}, outputs and loss"
            ),
        )
    return _on_the_way_back(variables, rows, stopped)


def apart(a: list, b: list) -> float:
    """Returns how far what two functions make of a variable is apart, NaN if
    it cannot be told.

    Arrays are taken as examples along their first axis. The function that has
    fewer of them must have each among those of the other, which may run
    through a layer what nobody needs. Of what is made once for all examples
    (a vector, an axis of length 1) both must have the same.

    Args:
        a: Arrays of one function.
        b: Of the other.
    """
    pools = _examples(a), _examples(b)
    found = []
    for key in set(pools[0]) & set(pools[1]):
        few, many = sorted((pool[key] for pool in pools), key=len)
        found.append(_missing(few, many))
        if key[0] == "once":
            found.append(_missing(many, few))
    return max(found, default=float("nan"))


def _examples(arrays: list) -> dict[tuple, np.ndarray]:
    """Returns all examples `[N, size]` of some arrays, by what they are of and
    their size."""
    found: dict[tuple, list] = {}
    for array in arrays:
        if not array.ndim or not array.size:
            continue
        once = array.ndim == 1 or len(array) == 1
        rows = array.reshape((1 if once else len(array), -1))
        key = ("once" if once else "each", rows.shape[1])
        found.setdefault(key, []).append(rows)
    return {key: np.concatenate(rows) for key, rows in found.items()}


def _missing(few: np.ndarray, many: np.ndarray) -> float:
    """Returns how far the examples of one are from the nearest of another."""
    scale = max(np.linalg.norm(one, axis=1).max() for one in (few, many))
    if not scale:
        return 0.0
    chosen = few[:: -(-len(few) // MOST_EXAMPLES)]
    distances = [
        np.min(np.linalg.norm(many - example, axis=1)) for example in chosen
    ]
    return float(np.max(distances) / scale)


def _close(a: float, b: float, limit: float) -> bool:
    return abs(a - b) <= limit * max(abs(a), abs(b))


def _on_the_way_back(variables, rows, stopped) -> tuple:
    differing = [i for i, row in enumerate(rows) if row.differs]
    if not differing:
        return (
            "forward",
            None,
            (
                "losses and gradients of what both have agree, but not all of "
                "their variables are common"
            ),
        )
    last = differing[-1]
    agreeing = [
        i
        for i, row in enumerate(rows)
        if i > last and not row.noise and row.differs is False
    ]
    scale = _common_scale(rows)
    if scale is not None:
        return (
            "backward",
            None,
            (
                "the losses agree, and all gradients of the second are "
                f"{scale:.6g} times those of the first"
            ),
        )
    layer = variables[agreeing[0] if agreeing else last].layer
    words = (
        "the losses agree; on the way back from the loss the gradient is the "
        + (
            f"same down to {variables[agreeing[0]].name}, and another one from "
            f"{variables[last].name} on: look at what {layer} makes of its "
            "input"
            if agreeing
            else f"another one from {variables[last].name} on"
        )
    )
    return "backward", layer, words + _stops(stopped)


def _stops(stopped) -> str:
    """Says what stops gradients in one of the functions only."""
    counts = [len(names) for names in stopped]
    if counts[0] == counts[1]:
        return ""
    more = int(counts[1] > counts[0])
    others = set(stopped[1 - more])
    names = [n for n in stopped[more] if n not in others] or stopped[more]
    return (
        f" (the {('first', 'second')[more]} has a `stop_gradient` that the "
        f"other has not: {', '.join(names[:3])})"
    )


def _common_scale(rows) -> float | None:
    """Returns how many times the gradients of the first the second's are, if
    it is the same number for all."""
    known = [row.float64 or row.float32 for row in rows if not row.noise]
    if any(not one.norm_a or not one.cosine > 1 - 1e-6 for one in known):
        return None
    scales = [one.norm_b / one.norm_a for one in known]
    return (
        scales[0] if scales and _close(min(scales), max(scales), 1e-4) else None
    )
