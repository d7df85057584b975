"""Rules about inputs that were scaled before a layer scales them again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.spells import largest, smallest
from gradscope.diagnosis.wording import code, finding

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View

#: Layers that may come before a scaling, and keep the size of pixels.
_KEEPING = ("Resizing", "CenterCrop", "ZeroPadding2D", "InputLayer")


@rule
def scaled_twice(view: View, limits: Limits) -> Findings:
    """Pixels from 0 to 1 that a `Rescaling` divides by 255 once more."""
    rows, layer = view.data_rows("input"), _first_rescaling(view)
    # Without layers that normalise, `input_too_small` reports this.
    if len(rows) != 1 or layer is None or not view.is_normalised:
        return
    config = layer.get("config") or {}
    scale, offset = config.get("scale"), config.get("offset") or 0.0
    if not isinstance(scale, int | float) or not 0 < scale < 0.02:
        return
    if not isinstance(offset, int | float):
        return
    low = smallest(view.get("data_min")[:, rows[0]])
    high = largest(view.get("data_max")[:, rows[0]])
    # An image of bytes whose brightest pixel is 1 is black.
    if not (high <= 1.05 and low >= -1.05):
        return
    name = str(layer.get("name"))
    after = [scale * low + offset, scale * high + offset]
    yield finding(
        view,
        "unscaled-input",
        "warning",
        name,
        None,
        what=f"The inputs range from {low:.3g} to {high:.3g}, and "
        f"{code(name)} multiplies them by {scale:.3g}, which leaves "
        f"{after[0]:.3g} to {after[1]:.3g}",
        evidence={
            "input_min": low,
            "input_max": high,
            "scale": float(scale),
            "spread": after[1] - after[0],
        },
        cause="A factor of this size is for bytes from 0 to 255, so most "
        "likely the inputs were scaled before. What is left hardly differs "
        "between examples, and a network that was trained on bytes has never "
        "seen such inputs.",
        remedy="Scale once: feed the model bytes (no `rescale=1/255`, no "
        "`x / 255`), or leave the layer out.",
    )


def _first_rescaling(view: View) -> dict[str, Any] | None:
    """Get the facts of a `Rescaling` that reads the model's input."""
    for fact in view.facts.values():
        kind = str(fact.get("class"))
        if kind == "Rescaling":
            return fact
        if kind not in _KEEPING and not kind.startswith("Random"):
            return None
    return None
