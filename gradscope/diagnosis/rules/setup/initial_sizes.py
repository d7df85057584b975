"""Rules about initial weights that are too small or too large."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.rules.setup.initial_weights import GLOROT, HE
from gradscope.diagnosis.spells import median, running_median
from gradscope.diagnosis.wording import finding, join_code

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View


declare(
    Kind(
        name="init-too-small",
        rank=160,
        ceiling="error",
        what="The initial weights are so small that hardly any signal passes "
        "through, and the loss does not fall.",
        needs="the first step, model",
        shown_by=Shown(("weight_rms", "weight_norm")),
        limits={
            "gain": Limit(
                0.1,
                "rms of the initial weights times the square root of the "
                "number of inputs; Glorot, He and LeCun initializers give 0.8 "
                "to 1.5",
            ),
        },
        cause_rank=110,
        symptoms=(
            "dead-relu",
            "update-too-large",
            "update-too-small",
            "learning-rate",
            "zero-gradient",
            "loss-metric-disagree",
        ),
    )
)


@rule
def init_too_small(view: View, limits: Limits) -> Findings:
    """Weights so small that the signal fades out and nothing is learned."""
    kernel_gains = gains(view)
    small = [
        (row, gain)
        for row, (_, gain) in kernel_gains.items()
        if gain < limits["init-too-small.gain"]
    ]
    if not small or view.is_normalised:
        return
    if not _is_stalled(view, limits, [row for row, _ in small]):
        return
    row, gain = min(small, key=lambda pair: pair[1])
    layers = [view.layer(row) for row, _ in small]
    yield finding(
        view,
        "init-too-small",
        "error" if view.loss_fall < limits["learned.fall"] else "warning",
        view.layer(small[0][0]),
        None,
        what=f"The initial weights of {join_code(layers)} are so small that "
        "hardly any signal passes through",
        evidence={
            "gain": gain,
            "gain_limit": limits["init-too-small.gain"],
            "weight_rms": view.get("weight_rms")[0, row],
            "loss_fall": view.loss_fall,
            "layers": layers,
        },
        cause="Each layer multiplies the size of the signal by about its "
        f"gain, which is {gain:.2g} here; a gain of 1 preserves the signal. "
        "The gradient shrinks just as much during backpropagation.",
        remedy=f"Use {HE}{GLOROT}. (A standard deviation of 0.001 or 0.01 is "
        "too small for most layers.)",
    )


declare(
    Kind(
        name="init-too-large",
        rank=150,
        ceiling="warning",
        what="The initial weights are so large that the signal grows out of "
        "control.",
        needs="the first step",
        is_note_if_learned=True,
        shown_by=Shown(("weight_rms", "weight_norm")),
        limits={
            "gain": Limit(
                8,
                "rms of the initial weights times the square root of the "
                "number of inputs; without normalisation, outputs are then "
                "huge (benchmark)",
            ),
            "loss": Limit(
                10,
                "first loss divided by the loss of equal probabilities, ln C "
                "for C classes (CS231n)",
            ),
            "rms": Limit(
                10,
                "rms of outputs or activations in the first step, where a gain "
                "of 1 keeps it near 1; only beyond it, or of the loss, the "
                "finding says that the signal grows",
            ),
        },
        cause_rank=100,
        symptoms=(
            "saturated-activation",
            "exploding-gradient",
            "vanishing-gradient",
            "dead-relu",
            "loss-diverges",
            "zero-gradient",
            "update-too-small",
            "learning-rate",
            "non-finite",
            "loss-metric-disagree",
        ),
    )
)


@rule
def init_too_large(view: View, limits: Limits) -> Findings:
    """Weights so large that the signal grows and the first loss is huge."""
    kernel_gains = {row: gain for row, (gain, _) in gains(view).items()}
    limit = limits["init-too-large.gain"]
    large = [(row, gain) for row, gain in kernel_gains.items() if gain > limit]
    if not large:
        # Gains of several layers multiply, so that none needs to be very large.
        above = [(r, g) for r, g in kernel_gains.items() if g > limit / 3]
        if len(above) > 1 and np.prod([g for _, g in above]) > 2 * limit:
            large = above
    if not large or view.is_normalised:
        return
    layers = [view.layer(row) for row, _ in large]
    row, gain = max(large, key=lambda pair: pair[1])
    signs = _signs_of_growth(view, limits)
    yield finding(
        view,
        "init-too-large",
        "warning",
        view.layer(large[0][0]),
        None,
        what=f"The initial weights of {join_code(layers)} are "
        + (
            "so large that the signal grows out of control"
            if signs
            else "far larger than those of the usual initializers"
        ),
        evidence={
            "gain": gain,
            "gain_limit": limits["init-too-large.gain"],
            "weight_rms": view.get("weight_rms")[0, row],
            "first_loss": view.first_loss,
        },
        cause=(
            "Each layer multiplies the size of the signal by about its gain, "
            f"which is {gain:.3g} here; a gain of 1 preserves the signal. At "
            f"the first step {', and '.join(signs)}."
        )
        if signs
        else "A gain (the rms of the weights times the root of the number of "
        f"inputs) of 1 preserves the size of a signal; here it is {gain:.3g}. "
        "The record shows no huge outputs and no huge loss at the first step, "
        "so what it does to the signal is not known.",
        remedy=f"Use {HE}{GLOROT}. (A standard deviation of 1 is too large "
        "for a layer with many inputs.)",
    )


def _signs_of_growth(view: View, limits: Limits) -> list[str]:
    """List the signs of a signal that is too large, in the first record."""
    signs = []
    limit = limits["init-too-large.rms"]
    sizes = view.get("data_rms")[0, view.data_rows("output")]
    if sizes.size and np.nanmax(sizes, initial=0) > limit:
        signs.append(f"the outputs have an rms of {np.nanmax(sizes):.3g}")
    guessing, first = view.uniform_loss, float(view.loss[0])
    if (
        np.isfinite(guessing)
        and first > limits["init-too-large.loss"] * guessing
    ):
        signs.append(f"the loss is {first:.3g}")
    rms = view.get("activation_rms")[0]
    if np.nanmax(rms, initial=0) > limit:
        signs.append(f"activations have an rms of up to {np.nanmax(rms):.3g}")
    saturated = [
        view.layer_of(activation)
        for row, activation in view.activations
        if activation.kind in ("sigmoid", "tanh")
        and view.get("saturated_fraction")[0, row] > 0.5
    ]
    if saturated:
        signs.append(f"most outputs of {join_code(saturated)} are saturated")
    return signs


@rule
def outputs_too_large(view: View, limits: Limits) -> Findings:
    """A first loss far above that of guessing, due to huge outputs."""
    guessing = view.uniform_loss
    if not view.is_from_start or not np.isfinite(guessing):
        return
    # `uniform_loss` is the logarithm of the number of classes.
    first, classes = float(view.loss[0]), round(np.exp(guessing))
    inputs = median(view.get("data_rms")[:, view.data_rows("input")])
    if not first > limits["init-too-large.loss"] * guessing:
        return
    # Large inputs are another fault, and a quick fall makes this one harmless.
    if inputs > limits["unscaled-input.rms"] or view.loss_fall > 0.9:
        return
    # A loss that is summed over the batch is large even with small outputs.
    largest_output = float(view.get("data_max")[0, view.data_rows("output")[0]])
    # The sigmoid of 5 is 0.99.
    if not (largest_output > 5 or (view.outputs and largest_output > 0.99)):
        return
    yield finding(
        view,
        "init-too-large",
        "warning",
        view.last_layer,
        None,
        what=f"The first loss is {first:.3g}, but equal probabilities for "
        f"{classes} classes give {guessing:.2g}: the network starts out "
        "confident and wrong",
        evidence={
            "first_loss": first,
            "first_loss_limit": limits["init-too-large.loss"] * guessing,
        },
        cause="Some of its first answers are certain, before anything is "
        "learned. Possible reasons are initial weights that are too large, "
        "and layers that are added up without normalisation.",
        remedy=f"Use {HE}{GLOROT}, or put batch or layer normalisation "
        "between the layers.",
    )


def gains(view: View) -> dict[int, tuple[float, float]]:
    """Compute the factor by which each kernel scales a signal at first.

    One gain is counted over the inputs of the kernel, and one over the mean of
    inputs and outputs. Initial standard deviations that keep the size of a
    signal are 1/sqrt(inputs) (LeCun), sqrt(2/inputs) (He 2015) and
    sqrt(2/(inputs + outputs)) (Glorot 2010): for each of them one of both
    gains is near 1.

    Returns:
        The smaller and the larger gain, by the row of the kernel; empty if the
        first step was not recorded.
    """
    if not view.is_from_start:
        return {}
    kernel_gains = {}
    for row in view.kernels:
        shape = view.schema.variables[row].shape
        inputs = np.prod(shape[:-1])
        # As Keras counts them: all axes but the last two are window sizes.
        outputs = np.prod([*shape[:-2], shape[-1]])
        rms = float(view.get("weight_rms")[0, row])
        gain_a = rms * np.sqrt(inputs)
        gain_b = rms * np.sqrt((inputs + outputs) / 2)
        # A kernel of zeros has a rule of its own, `zero_init`.
        if rms > 0 and inputs > 1:
            kernel_gains[row] = min(gain_a, gain_b), max(gain_a, gain_b)
    return kernel_gains


def _is_stalled(view: View, limits: Limits, small: list[int]) -> bool:
    """Return whether the loss does not fall, or falls late.

    Where the loss is not known, return whether several kernels with small
    weights do not grow either.

    Args:
        view: The run.
        limits: The limits.
        small: Rows of the kernels with small weights.
    """
    if not np.isfinite(view.loss_fall):
        rms = view.get("weight_rms")[:, small]
        return len(small) > 1 and bool(np.all(rms[-1] < 1.5 * rms[0]))
    if view.loss_fall < limits["learned.fall"]:
        return True
    # It falls late if it does not in a third of the records, at least fifty.
    third = running_median(view.loss)[: max(50, view.count // 3)]
    return bool(median(third[-5:]) > 0.95 * view.first_loss)
