"""The course of a training after its first NaN: over, or damaged unseen.

On a CPU, in a graph without XLA, `Dense` or `Conv2D` with a bias and a ReLU is
a single operation, which turns NaN into 0. Then weights are NaN and the loss is
not; docs/numerics.md has what was measured.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.wording import join_code
from gradscope.format.rows import DIES

if TYPE_CHECKING:
    from gradscope.diagnosis.finding import EvidenceValue
    from gradscope.diagnosis.view import View
    from gradscope.reading.nonfinite import NonFinite


@dataclasses.dataclass(frozen=True)
class Aftermath:
    """The consequences of a first NaN or infinity, in words.

    Attributes:
        headline: Addition to the sentence that names the first NaN.
        explanation: Sentences that say why; empty without any.
        evidence: Numbers and names that prove it.
    """

    headline: str = ""
    explanation: str = ""
    evidence: Mapping[str, EvidenceValue] = dataclasses.field(
        default_factory=dict
    )


def describe_aftermath(view: View, origin: NonFinite, index: int) -> Aftermath:
    """Describe the effect of a first NaN or infinity on the rest of the run.

    Args:
        view: The run.
        origin: The first number that was not finite.
        index: Its index in the steps of the view.
    """
    weights = _finite_weights(view, index + 1)
    if not weights:
        return Aftermath()
    broken = [layer for layer, is_finite in weights.items() if not is_finite]
    if not broken:
        return Aftermath(
            explanation="The weights stayed finite, so training went on."
        )
    loss = float(view.loss[-1])
    if np.isfinite(loss):
        return Aftermath(
            ", and the loss hides it",
            _why_hidden(view, broken, index + 1),
            {"layers": broken, "loss": loss},
        )
    if origin.loss_is_known:
        return Aftermath(", and the network learns nothing from then on")
    return Aftermath()


def _finite_weights(view: View, start: int) -> dict[str, bool]:
    """Find the layers whose weights are finite when last recorded.

    Args:
        view: The run.
        start: Index of the first step to look at.

    Returns:
        For each layer that took part in one of these steps, whether all its
        weights were finite in the last of them.
    """
    norms = view.get("weight_norm")
    took_part = np.isfinite(view.get("gradient_nonfinite"))
    finite: dict[str, bool] = {}
    for row, variable in enumerate(view.schema.variables):
        steps = np.flatnonzero(took_part[start:, row])
        if len(steps):
            is_finite = bool(np.isfinite(norms[start + steps[-1], row]))
            finite[variable.layer] = (
                finite.get(variable.layer, True) and is_finite
            )
    return finite


def _why_hidden(view: View, broken: list[str], start: int) -> str:
    """Explain why the loss is finite though weights of `broken` are not."""
    layers = join_code(broken)
    relus = _layers_of_finite_relus(view, broken, start)
    if not relus:
        return (
            f"Weights of {layers} are NaN from then on, and the loss stays "
            "finite all the same: an operation between them and the loss may "
            "pass over NaN, as max-pooling does, or not every batch reads them."
        )
    return (
        f"Weights of {layers} are NaN from then on, and the loss stays finite "
        "all the same: on this device, without XLA, a layer and its ReLU are a "
        f"single operation, which turns NaN into 0. So the units of "
        f"{join_code(relus)} that read NaN are silent, and only what does not "
        "need them goes on learning. Under XLA (which `fit` uses by itself on "
        "a GPU), with `run_eagerly=True`, or with another activation, such as "
        "`elu`, the loss is NaN."
    )


def _layers_of_finite_relus(
    view: View, broken: list[str], start: int
) -> list[str]:
    """List the broken layers right behind which a ReLU is finite.

    It is the layer's own activation, or a `ReLU` that is the next layer.
    """
    names = list(view.facts)
    follows = dict(zip(names[1:], names, strict=False))
    nonfinite = view.get("activation_nonfinite")[start:]
    # NaN, which no comparison holds for, is where it was not recorded.
    highest = np.max(nonfinite, axis=0, initial=-1, where=nonfinite >= 0)
    relus = [
        view.layer_of(activation)
        for row, activation in view.activations
        if activation.kind in DIES and highest[row] == 0
    ]
    layers = {
        layer if layer in broken else follows.get(layer) for layer in relus
    }
    return [layer for layer in broken if layer in layers]
