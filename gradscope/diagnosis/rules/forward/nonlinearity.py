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

    #: Names of two kernels; the output of the first reaches the second.
    Pair = tuple[str, str]

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
    linear = _known_pairs(view)
    is_all_linear = _is_all_linear(view, linear)
    pairs = _unmeant_pairs(view, linear, is_all_linear)
    if not pairs:
        return
    layer_of = {v.name: v.layer for v in view.schema.variables}
    layers = list(dict.fromkeys(layer_of[first] for first, _ in pairs))
    yield finding(
        view,
        "missing-nonlinearity",
        "warning" if is_all_linear or len(pairs) > 1 else "note",
        layers[0],
        None,
        what=f"The output of {join_code(layers)} reaches the next layer "
        "without an activation function"
        + (
            ", and the network has none between any two layers"
            if is_all_linear
            else ""
        ),
        evidence={"layers": layers, "pairs": len(pairs)},
        cause="Two layers with only linear operations between them compute "
        "one linear function, so they can do no more than a single layer."
        + (
            "" if is_all_linear else " A narrow layer may be linear on purpose."
        ),
        remedy="Give the hidden layers an activation: "
        '`Dense(..., activation="relu")`.',
    )


def _known_pairs(view: View) -> list[Pair]:
    """List the linear pairs of which both kernels have rows in the record."""
    names = {variable.name for variable in view.schema.variables}
    pairs = getattr(view.schema, "linear", ())
    return [pair for pair in pairs if names.issuperset(pair)]


def _is_all_linear(view: View, pairs: list[Pair]) -> bool:
    """Return whether all kernels but the first follow another one linearly."""
    count = len(view.kernels)
    return count > 1 and len({second for _, second in pairs}) >= count - 1


def _unmeant_pairs(
    view: View, pairs: list[Pair], is_all_linear: bool
) -> list[Pair]:
    """Select the pairs that nobody would put together on purpose."""
    by_name = {v.name: v for v in view.schema.variables}
    # Two matrices of one layer may be a factorisation, and are no two layers.
    pairs = [(a, b) for a, b in pairs if by_name[a].layer != by_name[b].layer]
    if is_all_linear:
        return pairs
    # Bottlenecks go first: a kernel that feeds a bottleneck and one further
    # kernel is no projection.
    pairs = [(a, b) for a, b in pairs if not _is_bottleneck(a, b, by_name)]
    return [(a, b) for a, b in pairs if not _is_projection(a, pairs)]


def _is_projection(first: str, pairs: list[Pair]) -> bool:
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
