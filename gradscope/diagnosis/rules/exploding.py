"""The rule about gradients that grow."""

from __future__ import annotations

import numpy as np

from gradscope.diagnosis.registry import rule
from gradscope.diagnosis.spells import longest, median, smoothed
from gradscope.diagnosis.wording import finding

#: Records after which gradients have a level, and how far they go beyond it.
_LONG = 40
_OF_A_LEVEL = 10


@rule
def exploding_gradient(view, limits):
    """Gradients that grow on their way back, or in the course of training."""
    if len(view.kernels) < 2 or not view.count:
        return
    norm = view.get("global_gradient_norm").astype(float)
    grown = grown_forward(view)
    if grown > limits["exploding-gradient.forward"] and not view.fall > 0.5:
        yield _summed(view, limits, grown)
        return
    start = median(norm[: max(3, min(10, view.count // 4))])
    grown = norm > limits["exploding-gradient.growth"] * start
    spell = longest(grown, 2)
    if (
        spell is not None
        and not view.fall > 0.5
        and not _is_of_a_level(spell, norm)
    ):
        yield _exploding(view, limits, spell, norm, start)
        return
    rms = view.get("gradient_rms")[:, view.kernels].astype(float)
    part = max(1, len(view.kernels) // 3)
    with np.errstate(all="ignore"):
        ratio = rms[:, :part].max(axis=1) / rms[:, -part:].max(axis=1)
    limit = limits["exploding-gradient.ratio"]
    spell = longest(smoothed(ratio) > limit, 10)
    if spell is None or view.fall > 0.5:
        return
    where = view.layer(view.kernels[0])
    yield finding(
        view,
        "exploding-gradient",
        "warning",
        where,
        spell,
        what=f"The gradient of {where} is {median(ratio[spell.slice]):.0f} "
        f"times that of {view.layer(view.kernels[-1])}: it grows on its way "
        "back",
        evidence={
            "ratio": median(ratio[spell.slice]),
            "ratio_limit": limit,
        },
        cause="Each layer makes it larger, as weights that start too large "
        "do, or a recurrent layer over many time steps.",
        remedy="Clip it with `global_clipnorm=1.0` in the optimizer, and use "
        "the default initializers.",
    )


def _is_of_a_level(spell, norm) -> bool:
    """Returns whether gradients that grew for a while are a few times as large
    as they long had been: those of a critic, whose targets grow with what it
    learns, reach a level, and go up and down around it."""
    if spell.until_the_end or spell.start < _LONG:
        return False
    level = median(norm[spell.start // 2 : spell.start])
    return float(np.nanmax(norm[spell.slice])) < _OF_A_LEVEL * level


def grown_forward(view) -> float:
    """Returns how much larger the outputs of the last hidden activations are
    than those of the first in the first step, 1 where there are few, or where
    something normalises."""
    rows = [
        row
        for row, one in view.activations
        if one.kind in ("relu", "gelu", "silu", "elu", "selu", "leaky_relu")
        and not view.is_output(one)
    ]
    if len(rows) < 6 or not view.is_from_start or view.is_normalised:
        return 1.0
    rms = view.get("activation_rms")[0, rows].astype(float)
    first, last = median(rms[:2]), median(rms[-2:])
    return float(last / first) if first > 0 else 1.0


def _summed(view, limits, grown: float):
    where = view.layer(view.kernels[0])
    return finding(
        view,
        "exploding-gradient",
        "error" if not np.isfinite(view.last_loss) else "warning",
        where,
        None,
        what=f"In the first step the outputs of the last hidden layers are "
        f"{grown:.3g} times as large as those of the first: they grow from "
        f"{where} on, and gradients with them",
        evidence={
            "growth_forward": grown,
            "growth_forward_limit": limits["exploding-gradient.forward"],
            "first_loss": view.first_loss,
        },
        cause="Each layer adds to what it gets, or multiplies it by more than "
        "one, and nothing normalises it: blocks `x + f(x)` without "
        "normalisation, or weights that start a little too large.",
        remedy="Put `LayerNormalization()` in front of each block, or start "
        'the last layer of each block with `kernel_initializer="zeros"`.',
    )


def _exploding(view, limits, spell, norm, start):
    peak = float(np.nanmax(norm[spell.slice]))
    rms = view.get("gradient_norm")[spell.slice].astype(float)
    row = int(np.nanargmax(np.nanmax(np.where(np.isinf(rms), np.nan, rms), 0)))
    return finding(
        view,
        "exploding-gradient",
        "error" if spell.until_the_end else "warning",
        view.layer(row),
        spell,
        what=f"The gradient grew to {peak:.3g}, {peak / start:.3g} times what "
        f"it was at the start; most of it is in {view.layer(row)}",
        evidence={
            "growth": peak / start,
            "growth_limit": limits["exploding-gradient.growth"],
            "global_gradient_norm": peak,
            "start": start,
        },
        cause="Steps too large lead to where the loss is steep, and its slope "
        "makes the next step larger still. Could also be one odd batch, or a "
        "recurrent layer over many time steps.",
        remedy="Clip it with `global_clipnorm=1.0` in the optimizer, or divide "
        "the learning rate by ten.",
    )
