"""Rules about initial weights that are zero, equal, too small or too large."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.spells import median, running_median, spells
from gradscope.diagnosis.wording import finding, join_words

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.spells import Spell
    from gradscope.diagnosis.view import View

_HE = '`kernel_initializer="he_normal"` (behind ReLU) or '
_GLOROT = 'Keras\'s default `kernel_initializer="glorot_uniform"`'


@rule
def zero_init(view: View, limits: Limits) -> Findings:
    """Kernels that start at zero and have a zero gradient because of it.

    A zero kernel in the last layer alone is no fault: it has a gradient, and
    changes in the first step.
    """
    weights, gradients = view.get("weight_norm"), view.get("gradient_norm")
    min_records = _min_records(view, limits["zero-init.records"])
    zero_kernels = []
    for row in view.kernels:
        is_stuck = (weights[:, row] == 0) & (gradients[:, row] == 0)
        zero_spells = spells(is_stuck, min_records)
        zero_kernels += [(row, zero_spells[0])] if zero_spells else []
    if not zero_kernels or _is_last_layer_only(view, zero_kernels):
        return
    row, spell = zero_kernels[0]
    layers = [view.layer(row) for row, _ in zero_kernels]
    yield finding(
        view,
        "zero-init",
        "error",
        view.layer(row),
        spell,
        what=f"All weights of {join_words(layers)} are zero, and so are their "
        "gradients, so they stay zero",
        evidence={
            "weight_norm": 0.0,
            "gradient_norm": 0.0,
            "records": spell.length,
            "records_limit": limits["zero-init.records"],
            "layers": layers,
        },
        cause="Weights of zero multiply what comes in and what flows back by "
        "zero, so no layer below or above gets a gradient, whatever the "
        "learning rate is.",
        remedy=f"Start kernels with small random numbers: {_HE}{_GLOROT}. Only "
        "biases may start at zero.",
    )


def _is_last_layer_only(
    view: View, zero_kernels: list[tuple[int, Spell]]
) -> bool:
    """Return whether the only zero kernel is that of the last layer.

    If hidden activations are not zero, its gradient is zero for another
    reason than its own weights.
    """
    rows = [row for row, _ in zero_kernels]
    if rows != view.kernels[-1:] or len(view.kernels) < 2:
        return False
    hidden = [
        r
        for r, activation in view.activations
        if not view.is_output(activation)
    ]
    return bool(np.nanmax(view.get("activation_rms")[:5, hidden], initial=0))


@rule
def symmetric_units(view: View, limits: Limits) -> Findings:
    """Units of a layer that receive equal gradients and so never differ."""
    spread = view.get("gradient_unit_spread")
    min_records = _min_records(view, limits["symmetric-units.records"])
    yield from _constant_recurrent_layers(view)
    yield from _constant_embeddings(view)
    for row in view.kernels:
        are_alike = spread[:, row] < limits["symmetric-units.spread"]
        alike_spells = spells(are_alike, min_records)
        if not alike_spells or view.schema.variables[row].shape[-1] < 2:
            continue
        spell = alike_spells[0]
        layer = view.layer(row)
        from_start = spell.start == 0 and view.is_from_start
        yield finding(
            view,
            "symmetric-units",
            "error",
            layer,
            spell,
            what=f"All units of {layer} receive the same gradient, so they "
            "stay alike and do the work of one unit",
            evidence={
                "gradient_unit_spread": median(spread[spell.slice, row]),
                "gradient_unit_spread_limit": limits["symmetric-units.spread"],
                "records": spell.length,
            },
            cause="They start with equal weights, as from a constant "
            "initializer: units with equal weights compute the same, and "
            "nothing ever tells them apart."
            if from_start
            else "They compute the same; could be a constant initializer, or "
            "weights that were overwritten with one value.",
            remedy=f"Start kernels with random numbers: {_HE}{_GLOROT}.",
        )
        return


def _constant_recurrent_layers(view: View) -> Findings:
    """Find recurrent layers whose weights start equal.

    Their gates differ from each other, so that the gradient of the kernel does
    not show that their units are equal.
    """
    for name, fact in view.facts.items():
        kind = _constant_initializer(fact, "kernel_initializer")
        if fact.get("class") not in ("LSTM", "GRU", "SimpleRNN") or not kind:
            continue
        parts = [n for n in view.schema.layers if n.startswith(f"{name}/")]
        yield finding(
            view,
            "symmetric-units",
            "error",
            parts[0] if parts else name,
            None,
            what=f"All units of {name} start with the same weights, so they "
            "stay alike and do the work of one unit",
            evidence={"kernel_initializer": kind},
            cause="Units with equal weights compute the same, receive the same "
            "gradient, and nothing ever tells them apart.",
            remedy=f"Start kernels with random numbers: {_GLOROT}, and "
            '`recurrent_initializer="orthogonal"`.',
        )
        return


def _constant_embeddings(view: View) -> Findings:
    """Find embeddings whose columns start equal, in a model without kernels.

    A kernel would make their columns differ. The gradient of an embedding has
    a few rows only, and its spread over columns is not measured.
    """
    for name, fact in view.facts.items() if not view.kernels else ():
        kind = _constant_initializer(fact, "embeddings_initializer")
        if fact.get("class") != "Embedding" or not kind:
            continue
        if fact["config"].get("output_dim") == 1:
            continue
        yield finding(
            view,
            "symmetric-units",
            "error",
            name,
            None,
            what=f"All columns of {name} start with the same numbers, so they "
            "stay alike and do the work of one column",
            evidence={"embeddings_initializer": kind},
            cause="Columns that start alike receive the same gradient, and "
            "nothing behind them tells them apart: products and sums of "
            "embeddings treat all columns alike.",
            remedy='Use `embeddings_initializer="uniform"`, the default.',
        )
        return


def _constant_initializer(facts: dict[str, Any], initializer: str) -> str:
    """Get the name of a layer's initializer if it makes equal numbers, or "".

    Args:
        facts: Facts of the layer.
        initializer: Which one, as in `"kernel_initializer"`.
    """
    config = (facts.get("config") or {}).get(initializer)
    kind = str(config.get("class_name") if isinstance(config, dict) else config)
    return kind if kind.lower() in ("ones", "zeros", "constant") else ""


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
        what=f"The weights of {join_words(layers)} start so small that hardly "
        "anything passes through",
        evidence={
            "gain": gain,
            "gain_limit": limits["init-too-small.gain"],
            "weight_rms": view.get("weight_rms")[0, row],
            "loss_fall": view.loss_fall,
            "layers": layers,
        },
        cause="Each layer multiplies the size of the signal by about its "
        f"gain, here {gain:.2g} where 1 keeps it; the gradient shrinks as "
        "much on its way back.",
        remedy=f"Use {_HE}{_GLOROT}. (A standard deviation of .001 or .01 is "
        "too small for most layers.)",
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
    yield finding(
        view,
        "init-too-large",
        "warning",
        view.layer(large[0][0]),
        None,
        what=f"The weights of {join_words(layers)} start so large that what "
        "passes through grows out of hand",
        evidence={
            "gain": gain,
            "gain_limit": limits["init-too-large.gain"],
            "weight_rms": view.get("weight_rms")[0, row],
            "first_loss": view.first_loss,
        },
        cause="Each layer multiplies the size of the signal by about its "
        f"gain, here {gain:.3g} where 1 keeps it: outputs and the first loss "
        "are huge, sigmoids and tanh end up at their ends.",
        remedy=f"Use {_HE}{_GLOROT}. (A standard deviation of 1 is too large "
        "for a layer with many inputs.)",
    )


@rule
def outputs_too_large(view: View, limits: Limits) -> Findings:
    """A first loss far above that of guessing, due to huge outputs."""
    guessing = view.guessing_loss
    if not view.is_from_start or not np.isfinite(guessing):
        return
    first, classes = float(view.loss[0]), round(np.exp(guessing))
    inputs = median(view.get("data_rms")[:, view.data_rows("input")])
    if not first > limits["init-too-large.loss"] * guessing:
        return
    # Large inputs are another fault, and a quick fall makes this one harmless.
    if inputs > limits["unscaled-input.rms"] or view.loss_fall > 0.9:
        return
    # A loss that is summed over the batch is large even with small outputs.
    largest_output = float(view.get("data_max")[0, view.data_rows("output")[0]])
    if not (largest_output > 5 or (view.outputs and largest_output > 0.99)):
        return
    yield finding(
        view,
        "init-too-large",
        "warning",
        view.schema.layers[-1],
        None,
        what=f"The first loss is {first:.3g}, where guessing evenly among "
        f"{classes} classes has {guessing:.2g}: the network starts sure of "
        "itself, and wrong",
        evidence={
            "first_loss": first,
            "first_loss_limit": limits["init-too-large.loss"] * guessing,
        },
        cause="The outputs are huge: weights that start too large, or layers "
        "that add up without normalisation.",
        remedy=f"Use {_HE}{_GLOROT}, or put batch or layer normalisation "
        "between the layers.",
    )


def gains(view: View) -> dict[int, tuple[float, float]]:
    """Compute by what factor each kernel changes the size of a signal at first.

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


def _min_records(view: View, limit: float) -> float:
    """Lower a number of recorded steps to that of a very short run."""
    return min(limit, max(5, view.count - 1))
