"""Why a gradient vanishes: the likeliest cause, according to the record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradscope.diagnosis.spells import median
from gradscope.diagnosis.wording import join_code

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View


def layers_starting_small(view: View, limits: Limits) -> list[str]:
    """List the layers whose kernels start too small."""
    # Imported late, so that rules register in the order of their modules.
    from gradscope.diagnosis.rules.setup.initial_sizes import gains

    return [
        view.layer(row)
        for row, (_, gain) in gains(view).items()
        if gain < limits["init-too-small.gain"]
    ]


def saturated_layers(view: View, limit: float) -> list[str]:
    """List the hidden sigmoid and tanh layers that are mostly saturated.

    Args:
        view: The run.
        limit: Share of saturated outputs above which a layer counts.
    """
    share = median(view.get("saturated_fraction"), axis=0)
    return [
        view.layer_of(activation)
        for row, activation in view.activations
        if activation.kind in ("sigmoid", "tanh")
        and not view.is_output(activation)
        and share[row] > limit
    ]


def explain_vanishing(view: View, limits: Limits) -> tuple[str, str]:
    """Find the likely cause of a vanishing gradient.

    Returns:
        Cause and remedy, as sentences.
    """
    # From what the record shows to what is only likely.
    small = layers_starting_small(view, limits)
    if small:
        return (
            f"The initial weights of {join_code(small)} are too small "
            "(init-too-small), and each layer multiplies the gradient by its "
            "weights.",
            'Use `kernel_initializer="he_normal"` with ReLU, or '
            '`kernel_initializer="glorot_uniform"`; or remove a layer.',
        )
    saturated = saturated_layers(view, 0.5)
    if saturated:
        return (
            f"Most outputs of {join_code(saturated)} are saturated: they are "
            "at the ends of their range, where the slope is near zero.",
            "Scale the inputs to mean 0 and standard deviation 1, start with "
            'smaller weights, or use `activation="relu"`.',
        )
    kinds = {
        activation.kind
        for _, activation in view.activations
        if not view.is_output(activation)
    }
    if "sigmoid" in kinds:
        return (
            "The slope of a sigmoid is at most a quarter, so each sigmoid "
            "layer passes on a quarter of the gradient or less, unless its "
            "weights are large.",
            'Use `activation="relu"` with `kernel_initializer="he_normal"` in '
            "the hidden layers.",
        )
    if kinds & {"relu", "tanh", "softmax"} or len(view.kernels) > 5:
        return (
            "Each layer passes on less of the gradient than it receives. "
            "Possible reasons are weights that are too small, units that are "
            "dead or saturated, simply many layers, or a learning rate that is "
            "too large, above all for weights that were trained before.",
            _remedies(view),
        )
    return (
        "Each layer multiplies the gradient by its weights and by the slope "
        "of its activation, and somewhere on the way it becomes small.",
        "Compare the gradients of the layers, and start from the default "
        "initializers.",
    )


def _remedies(view: View) -> str:
    """List remedies, without those that the model has already."""
    remedies = ['use `kernel_initializer="he_normal"` with ReLU']
    if not view.is_normalised:
        remedies.append("add batch normalisation")
    if not any(f.get("class") == "Add" for f in view.facts.values()):
        remedies.append("add skip connections around blocks of layers")
    text = ", or ".join(["try a tenth of the learning rate", *remedies])
    return f"{text[0].upper()}{text[1:]}."
