"""Look-ups of the layer that a finding is about, by the name of a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradscope.diagnosis.view import View


def owning_layer(view: View, name: str | None) -> str | None:
    """Get the layer of a variable or activation by its name, or None."""
    for variable in view.schema.variables:
        if variable.name == name:
            return variable.layer
    for activation in view.schema.activations:
        if activation.name == name:
            return view.layer_of(activation)
    return None


def boundary_layer(view: View, kind: str) -> str | None:
    """Get the layer next to the input, or next to the output and the loss.

    Args:
        view: The run.
        kind: `"input"`, `"target"`, `"output"` or `"loss"`; None is returned
            for others.
    """
    if kind in ("input", "target", "output", "loss") and view.schema.layers:
        return view.schema.layers[0 if kind == "input" else -1]
    return None
