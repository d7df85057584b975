"""What the rules tell of layers: who owns a row, and why gradients vanish."""

from __future__ import annotations

import numpy as np

from gradscope.diagnosis.spells import median
from gradscope.diagnosis.wording import several


def owner(view, name: str | None) -> str | None:
    """Returns the layer that a row of the record belongs to, None if it is no
    part of one."""
    for one in view.schema.variables:
        if one.name == name:
            return one.layer
    for one in view.schema.activations:
        if one.name == name:
            return view.layer_of(one)
    return None


def entered(view, kind: str) -> str | None:
    """Returns the layer next to where data or the loss meet the network."""
    if kind in ("input", "target", "output", "loss") and view.schema.layers:
        return view.schema.layers[0 if kind == "input" else -1]
    return None


def small_start(view, limits) -> list[str]:
    """Returns the layers whose kernels start too small."""
    from gradscope.diagnosis.rules.start import gains

    return [
        view.layer(row)
        for row, (_, gain) in gains(view).items()
        if gain < limits["init-too-small.gain"]
    ]


def saturated(view, limit: float) -> list[str]:
    """Returns the layers whose sigmoids or tanh are mostly at their ends."""
    share = median(view.get("saturated_fraction"), axis=0)
    return [
        view.layer_of(one)
        for row, one in view.activations
        if one.kind in ("sigmoid", "tanh")
        and not view.is_output(one)
        and share[row] > limit
    ]


def why_it_vanishes(view, limits) -> tuple[str, str]:
    """Returns the cause and the remedy of a vanishing gradient."""
    small = small_start(view, limits)
    if small:
        return (
            f"The weights of {several(small)} start too small (init-too-"
            "small): each layer multiplies the gradient by its weights.",
            'Use `kernel_initializer="he_normal"` behind ReLU, or '
            '`kernel_initializer="glorot_uniform"`; or leave a layer out.',
        )
    ends = saturated(view, 0.5)
    if ends:
        return (
            f"Most outputs of {several(ends)} are at the ends of their range, "
            "where the slope is near zero (saturated).",
            "Scale what goes in to mean 0 and standard deviation 1, start "
            'with smaller weights, or use `activation="relu"`.',
        )
    kinds = {a.kind for _, a in view.activations if not view.is_output(a)}
    if "sigmoid" in kinds:
        return (
            "The slope of a sigmoid is a quarter at most, so each layer of "
            "them takes three quarters of the gradient and more.",
            'Use `activation="relu"` with `kernel_initializer="he_normal"` in '
            "the hidden layers.",
        )
    if kinds & {"relu", "tanh", "softmax"} or len(view.kernels) > 5:
        return (
            "Each layer passes on less than it gets. Could be weights that "
            "are too small, units that are dead or saturated, or just many "
            "layers.",
            'Use `kernel_initializer="he_normal"` behind ReLU, add batch '
            "normalisation, or connections around blocks of layers.",
        )
    return (
        "Each layer multiplies the gradient by its weights and by the slope "
        "of its activation; somewhere on the way it gets small.",
        "Compare the layers' gradients, and start from the default "
        "initializers.",
    )


def first_values(series: np.ndarray) -> np.ndarray:
    """Returns the first five recorded values of each row, median."""
    return median(series[:5], axis=0)
