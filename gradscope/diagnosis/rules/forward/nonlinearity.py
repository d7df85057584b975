"""Rules about layers with no activation function between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.kinds import Kind, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.wording import finding, join_code

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View
    from gradscope.format.rows import Variable


declare(
    Kind(
        name="missing-nonlinearity",
        rank=100,
        ceiling="warning",
        what="There are only linear operations between two layers.",
        is_note_if_learned=True,
        shown_by=Shown(("gradient_norm",)),
    )
)


@rule
def missing_nonlinearity(view: View, limits: Limits) -> Findings:
    """Pairs of layers with nothing but linear operations between them.

    Together they compute one linear function, as a single layer could. A
    narrow layer between wide ones may be meant (a bottleneck), and so may one
    that feeds several kernels (a projection). They are left out, unless the
    whole network is linear.
    """
    pairs = getattr(view.schema, "linear", ())
    if not pairs:
        return
    by_name = {v.name: v for v in view.schema.variables}
    kernels = [view.schema.variables[row].name for row in view.kernels]
    linear_pairs = [p for p in pairs if p[0] in by_name and p[1] in by_name]
    # All but the first kernel follow another one without a nonlinearity.
    all_linear = len(kernels) > 1 and len({b for _, b in linear_pairs}) >= (
        len(kernels) - 1
    )
    # Two matrices of one layer may be a factorisation, and are no two layers.
    linear_pairs = [
        p for p in linear_pairs if by_name[p[0]].layer != by_name[p[1]].layer
    ]
    if not all_linear:
        linear_pairs = [
            (a, b) for a, b in linear_pairs if not _is_bottleneck(a, b, by_name)
        ]
        linear_pairs = [
            p for p in linear_pairs if not _is_projection(p[0], linear_pairs)
        ]
    if not linear_pairs:
        return
    layers = list(dict.fromkeys(by_name[a].layer for a, _ in linear_pairs))
    yield finding(
        view,
        "missing-nonlinearity",
        "warning" if all_linear or len(linear_pairs) > 1 else "note",
        layers[0],
        None,
        what=f"The output of {join_code(layers)} reaches the next layer "
        "without an activation function"
        + (
            ", and the network has none between any two layers"
            if all_linear
            else ""
        ),
        evidence={"layers": layers, "pairs": len(linear_pairs)},
        cause="Two layers with only linear operations between them compute "
        "one linear function, so they can do no more than a single layer."
        + ("" if all_linear else " A narrow layer may be linear on purpose."),
        remedy="Give the hidden layers an activation: "
        '`Dense(..., activation="relu")`.',
    )


def _is_projection(first: str, pairs: list[tuple[str, str]]) -> bool:
    """Return whether a kernel feeds several others, as in attention.

    It makes the width that blocks, gates or heads need.
    """
    return sum(a == first for a, _ in pairs) > 1


def _is_bottleneck(
    first: str, second: str, by_name: dict[str, Variable]
) -> bool:
    """Return whether two kernels meet at a width much below their others.

    Such a factorisation of one large kernel is often linear on purpose.
    """
    a, b = by_name[first].shape, by_name[second].shape
    return a[-1] * 2 <= min(int(np.prod(a[:-1])), b[-1])
