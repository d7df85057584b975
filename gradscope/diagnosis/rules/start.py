"""Rules about how weights start: at zero, all alike, too small, too large."""

from __future__ import annotations

import numpy as np

from gradscope.diagnosis.registry import rule
from gradscope.diagnosis.spells import median, smoothed, spells
from gradscope.diagnosis.wording import finding, several

_HE = '`kernel_initializer="he_normal"` (behind ReLU) or '
_GLOROT = 'Keras\'s default `kernel_initializer="glorot_uniform"`'


@rule
def zero_init(view, limits):
    """Weights that start at zero, and get no gradient for it.

    A zero kernel alone is no fault: that of a last layer leaves zero in the
    first step.
    """
    weights, gradients = view.get("weight_norm"), view.get("gradient_norm")
    found = []
    for row in view.kernels:
        stuck = (weights[:, row] == 0) & (gradients[:, row] == 0)
        some = spells(stuck, _records(view, limits["zero-init.records"]))
        found += [(row, some[0])] if some else []
    if not found or _is_only_the_last(view, found):
        return
    row, spell = found[0]
    layers = [view.layer(row) for row, _ in found]
    yield finding(
        view,
        "zero-init",
        "error",
        view.layer(row),
        spell,
        what=f"All weights of {several(layers)} are zero, and so are their "
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


def _is_only_the_last(view, found) -> bool:
    """Returns whether the zero kernel is that of the last layer alone: it gets
    a gradient, unless what comes in or flows back is zero for another reason.
    """
    rows = [row for row, _ in found]
    if rows != view.kernels[-1:] or len(view.kernels) < 2:
        return False
    hidden = [r for r, one in view.activations if not view.is_output(one)]
    return bool(np.nanmax(view.get("activation_rms")[:5, hidden], initial=0))


@rule
def symmetric_units(view, limits):
    """Units of a layer that receive the very same gradient for ever."""
    spread = view.get("gradient_unit_spread")
    least = _records(view, limits["symmetric-units.records"])
    yield from _constant_cells(view)
    yield from _constant_factors(view)
    for row in view.kernels:
        alike = spread[:, row] < limits["symmetric-units.spread"]
        some = spells(alike, least)
        if not some or view.schema.variables[row].shape[-1] < 2:
            continue
        if _makes_outputs(view, row):
            continue
        spell = some[0]
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


def _makes_outputs(view, row) -> bool:
    """Returns whether a kernel's units are outputs, as far as that is known.

    They get the same gradient for as long as their errors are alike: of a mean
    absolute error only the sign arrives, and outputs of random weights are all
    below targets of 10. Nothing keeps them alike.
    """
    if row in _heads(view):
        return True
    shapes = [view.schema.data[n].shape for n in view.data("output")]
    width = view.schema.variables[row].shape[-1]
    if width not in [shape[-1] for shape in shapes if shape]:
        return False
    # A hidden layer may be as wide as the output is.
    fact = view.facts.get(view.layer(row), {})
    return not _constant(fact, "kernel_initializer")


def _heads(view) -> list[int]:
    """Returns the last kernel, and those before it with none behind them
    whose layer has an activation of hidden layers."""
    hidden = {
        view.layer_of(activation)
        for _, activation in view.activations
        if activation.kind not in ("sigmoid", "softmax")
    }
    for index, row in reversed(list(enumerate(view.kernels))):
        if view.layer(row) in hidden:
            return view.kernels[index + 1 :] or view.kernels[-1:]
    return view.kernels[-1:]


def _constant_cells(view):
    """Finds recurrent layers that start with equal weights: their gates differ
    from each other, so that the kernel's gradient does not show it."""
    for name, fact in view.facts.items():
        kind = _constant(fact, "kernel_initializer")
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


def _constant_factors(view):
    """Finds embeddings that start with equal numbers, where no kernel behind
    them tells their columns apart: their gradient has a few rows only, and its
    spread is not measured."""
    for name, fact in view.facts.items() if not view.kernels else ():
        kind = _constant(fact, "embeddings_initializer")
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


def _constant(fact: dict, initializer: str) -> str:
    """Returns the name of a layer's initializer if all that it makes is one
    number, "" otherwise."""
    own = (fact.get("config") or {}).get(initializer)
    kind = str(own.get("class_name") if isinstance(own, dict) else own)
    return kind if kind.lower() in ("ones", "zeros", "constant") else ""


@rule
def init_too_small(view, limits):
    """Weights so small that the signal is lost, and nothing is learned."""
    found = gains(view)
    small = [
        (row, gain)
        for row, (_, gain) in found.items()
        if gain < limits["init-too-small.gain"]
    ]
    if not small or view.is_normalised:
        return
    if not _stalls(view, limits, [row for row, _ in small]):
        return
    row, gain = min(small, key=lambda pair: pair[1])
    layers = [view.layer(row) for row, _ in small]
    yield finding(
        view,
        "init-too-small",
        "error" if view.fall < limits["learned.fall"] else "warning",
        view.layer(small[0][0]),
        None,
        what=f"The weights of {several(layers)} start so small that hardly "
        "anything passes through",
        evidence={
            "gain": gain,
            "gain_limit": limits["init-too-small.gain"],
            "weight_rms": view.get("weight_rms")[0, row],
            "loss_fall": view.fall,
            "layers": layers,
        },
        cause="Each layer multiplies the size of the signal by about its "
        f"gain, here {gain:.2g} where 1 keeps it; the gradient shrinks as "
        "much on its way back.",
        remedy=f"Use {_HE}{_GLOROT}. (A standard deviation of .001 or .01 is "
        "too small for most layers.)",
    )


@rule
def init_too_large(view, limits):
    """Weights so large that outputs saturate or the loss starts huge."""
    found = {row: gain for row, (gain, _) in gains(view).items()}
    limit = limits["init-too-large.gain"]
    large = [(row, gain) for row, gain in found.items() if gain > limit]
    if not large:
        # Several layers that are each a little too large.
        some = [(r, g) for r, g in found.items() if g > limit / 3]
        if len(some) > 1 and np.prod([g for _, g in some]) > 2 * limit:
            large = some
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
        what=f"The weights of {several(layers)} start so large that what "
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
def outputs_too_large(view, limits):
    """A first loss far above that of guessing: the outputs are huge."""
    guess = view.guess
    if not view.is_from_start or not np.isfinite(guess):
        return
    first, classes = float(view.loss[0]), round(np.exp(guess))
    inputs = median(view.get("data_rms")[:, view.data("input")])
    if not first > limits["init-too-large.loss"] * guess:
        return
    if inputs > limits["unscaled-input.rms"] or view.fall > 0.9:
        return
    # A loss that is summed over the batch is large for no fault of theirs.
    most = float(view.get("data_max")[0, view.data("output")[0]])
    if not (most > 5 or (view.outputs and most > 0.99)):
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


def gains(view) -> dict[int, tuple[float, float]]:
    """Returns by kernel by what factor it changes the size of a signal at the
    start, seen from its inputs and from its outputs: smaller, larger.

    The standard deviations that keep a signal's size are 1/sqrt(inputs)
    (LeCun), sqrt(2/inputs) (He 2015) and sqrt(2/(inputs + outputs)) (Glorot
    2010): at the start one of both gains is near 1 for each of them.
    """
    if not view.is_from_start:
        return {}
    found = {}
    for row in view.kernels:
        shape = view.schema.variables[row].shape
        inputs = np.prod(shape[:-1])
        outputs = np.prod([*shape[:-2], shape[-1]])
        rms = float(view.get("weight_rms")[0, row])
        ways = rms * np.sqrt(inputs), rms * np.sqrt((inputs + outputs) / 2)
        if rms > 0 and inputs > 1:
            found[row] = min(ways), max(ways)
    return found


def _stalls(view, limits, small) -> bool:
    """Returns whether the loss does not fall, or falls late; where it is not
    known, whether several of the small kernels do not grow either."""
    if not np.isfinite(view.fall):
        rms = view.get("weight_rms")[:, small]
        return len(small) > 1 and bool(np.all(rms[-1] < 1.5 * rms[0]))
    if view.fall < limits["learned.fall"]:
        return True
    # The first third of all recorded steps, but fifty at least.
    third = smoothed(view.loss)[: max(50, view.count // 3)]
    return bool(median(third[-5:]) > 0.95 * view.first_loss)


def _records(view, limit: float) -> float:
    """Returns how many records in a row are needed: of a very short run all
    but the first few."""
    return min(limit, max(5, view.count - 1))
