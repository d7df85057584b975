"""Rules about how weights start: at zero, all alike, too small, too large."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.spells import median, running_median, spells
from gradscope.diagnosis.wording import finding, join_words

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View

_HE = '`kernel_initializer="he_normal"` (behind ReLU) or '
_GLOROT = 'Keras\'s default `kernel_initializer="glorot_uniform"`'


@rule
def zero_init(view: View, limits: Limits) -> Findings:
    """Weights that start at zero, and get no gradient for it.

    A zero kernel alone is no fault: that of a last layer leaves zero in the
    first step.
    """
    weights, gradients = view.get("weight_norm"), view.get("gradient_norm")
    zero_kernels = []
    for row in view.kernels:
        is_stuck = (weights[:, row] == 0) & (gradients[:, row] == 0)
        zero_spells = spells(
            is_stuck, _min_records(view, limits["zero-init.records"])
        )
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


def _is_last_layer_only(view: View, zero_kernels) -> bool:
    """Returns whether the zero kernel is that of the last layer alone: it gets
    a gradient, unless what comes in or flows back is zero for another reason.
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
    """Units of a layer that receive the very same gradient for ever."""
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


def _constant_recurrent_layers(view: View):
    """Finds recurrent layers that start with equal weights: their gates differ
    from each other, so that the kernel's gradient does not show it."""
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


def _constant_embeddings(view: View):
    """Finds embeddings that start with equal numbers, where no kernel behind
    them tells their columns apart: their gradient has a few rows only, and its
    spread is not measured."""
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


def _constant_initializer(fact: dict, initializer: str) -> str:
    """Returns the name of a layer's initializer if all that it makes is one
    number, "" otherwise."""
    config = (fact.get("config") or {}).get(initializer)
    kind = str(config.get("class_name") if isinstance(config, dict) else config)
    return kind if kind.lower() in ("ones", "zeros", "constant") else ""


@rule
def init_too_small(view: View, limits: Limits) -> Findings:
    """Weights so small that the signal is lost, and nothing is learned."""
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
    """Weights so large that outputs saturate or the loss starts huge."""
    kernel_gains = {row: gain for row, (gain, _) in gains(view).items()}
    limit = limits["init-too-large.gain"]
    large = [(row, gain) for row, gain in kernel_gains.items() if gain > limit]
    if not large:
        # Several layers that are each a little too large.
        slightly_large = [
            (r, g) for r, g in kernel_gains.items() if g > limit / 3
        ]
        if (
            len(slightly_large) > 1
            and np.prod([g for _, g in slightly_large]) > 2 * limit
        ):
            large = slightly_large
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
    """A first loss far above that of guessing: the outputs are huge."""
    guess = view.guessing_loss
    if not view.is_from_start or not np.isfinite(guess):
        return
    first, classes = float(view.loss[0]), round(np.exp(guess))
    inputs = median(view.get("data_rms")[:, view.data_rows("input")])
    if not first > limits["init-too-large.loss"] * guess:
        return
    if inputs > limits["unscaled-input.rms"] or view.loss_fall > 0.9:
        return
    # A loss that is summed over the batch is large for no fault of theirs.
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
        f"{classes} classes has {guess:.2g}: the network starts sure of "
        "itself, and wrong",
        evidence={
            "first_loss": first,
            "first_loss_limit": limits["init-too-large.loss"] * guess,
        },
        cause="The outputs are huge: weights that start too large, or layers "
        "that add up without normalisation.",
        remedy=f"Use {_HE}{_GLOROT}, or put batch or layer normalisation "
        "between the layers.",
    )


def gains(view: View) -> dict[int, tuple[float, float]]:
    """Returns by kernel by what factor it changes the size of a signal at the
    start, seen from its inputs and from its outputs: smaller, larger.

    The standard deviations that keep a signal's size are 1/sqrt(inputs)
    (LeCun), sqrt(2/inputs) (He 2015) and sqrt(2/(inputs + outputs)) (Glorot
    2010): at the start one of both gains is near 1 for each of them.
    """
    if not view.is_from_start:
        return {}
    kernel_gains = {}
    for row in view.kernels:
        shape = view.schema.variables[row].shape
        inputs = np.prod(shape[:-1])
        outputs = np.prod([*shape[:-2], shape[-1]])
        rms = float(view.get("weight_rms")[0, row])
        gains_of_kernel = (
            rms * np.sqrt(inputs),
            rms * np.sqrt((inputs + outputs) / 2),
        )
        if rms > 0 and inputs > 1:
            kernel_gains[row] = min(gains_of_kernel), max(gains_of_kernel)
    return kernel_gains


def _is_stalled(view: View, limits: Limits, small) -> bool:
    """Returns whether the loss does not fall, or falls late; where it is not
    known, whether join_words of the small kernels do not grow either."""
    if not np.isfinite(view.loss_fall):
        rms = view.get("weight_rms")[:, small]
        return len(small) > 1 and bool(np.all(rms[-1] < 1.5 * rms[0]))
    if view.loss_fall < limits["learned.fall"]:
        return True
    # The first third of all recorded steps, but fifty at least.
    third = running_median(view.loss)[: max(50, view.count // 3)]
    return bool(median(third[-5:]) > 0.95 * view.first_loss)


def _min_records(view: View, limit: float) -> float:
    """Returns how many records in a row are needed: of a very short run all
    but the first few."""
    return min(limit, max(5, view.count - 1))
