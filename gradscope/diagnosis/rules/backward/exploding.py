"""Rule about gradients that grow, over layers or over steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.rules.backward.first_and_last import Ends
from gradscope.diagnosis.spells import longest_spell, median
from gradscope.diagnosis.wording import code, finding

if TYPE_CHECKING:
    from gradscope.diagnosis.finding import Finding
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.spells import Spell
    from gradscope.diagnosis.view import View


declare(
    Kind(
        name="exploding-gradient",
        rank=140,
        ceiling="error",
        what="The gradient grows as it is backpropagated, or a hundredfold "
        "during training; or the outputs grow from block to block in the first "
        "step, as sums without normalisation do.",
        needs="activations, for the growth of outputs",
        shown_by=Shown(("gradient_rms", "gradient_norm")),
        limits={
            "growth": Limit(
                100,
                "global gradient norm divided by its median at the start of "
                "the run; in healthy runs it falls, or grows tenfold "
                "(benchmark)",
            ),
            "ratio": Limit(
                1e3,
                "rms gradient of the first kernels divided by that of the "
                "last ones: it grows as it is backpropagated (the critical "
                "layer ratio of torchmortem)",
            ),
            "long": Limit(
                40, "records after which gradients have a level of their own"
            ),
            "level": Limit(
                10,
                "how far gradients go beyond such a level, up and down, "
                "without exploding: those of a critic vary tenfold",
            ),
            "forward": Limit(
                20,
                "rms of the outputs of the last hidden layers divided by that "
                "of the first ones, in the first step: sums without "
                "normalisation",
            ),
        },
        cause_rank=150,
        symptoms=("non-finite", "loss-diverges", "update-too-large"),
    )
)


@rule
def exploding_gradient(view: View, limits: Limits) -> Findings:
    """Gradients that explode.

    They grow from layer to layer on their way back, or from step to step, or
    the outputs already grow from layer to layer in the first step.
    """
    if len(view.kernels) < 2 or not view.count:
        return
    norm = view.get("global_gradient_norm").astype(float)
    growth = forward_growth(view)
    is_large = growth > limits["exploding-gradient.forward"]
    # Written with `not`, this also holds where the loss is not known: then its
    # fall is NaN.
    if is_large and not view.loss_fall > 0.5:
        yield _forward_growth_finding(view, limits, growth)
        return
    # The median of several records, since the first batch may be an odd one.
    start = median(norm[: max(3, min(10, view.count // 4))])
    # From a gradient of zero, any other one is infinite growth.
    limit = limits["exploding-gradient.growth"]
    has_grown = (norm > limit * start) & (start > 0)
    # A single large gradient may be due to one odd batch.
    spell = longest_spell(has_grown, 2)
    if (
        spell is not None
        and not view.loss_fall > 0.5
        and not _is_of_a_level(spell, norm, limits)
    ):
        yield _growth_finding(view, limits, spell, norm, start)
        return
    yield from _growth_in_depth(view, limits)


def _growth_in_depth(view: View, limits: Limits) -> Findings:
    """Find gradients that grow from layer to layer on their way back."""
    ends = Ends(view, view.kernels)
    limit = limits["exploding-gradient.ratio"]
    # Last gradients of exactly zero have a rule of their own, `zero_gradient`.
    is_large = (ends.ratio > limit) & np.isfinite(ends.ratio)
    spell = longest_spell(is_large, 10)
    if spell is None or view.loss_fall > 0.5:
        return
    first, last = ends.typical(spell)
    ratio = first.rms / last.rms
    yield finding(
        view,
        "exploding-gradient",
        "warning",
        view.layer(view.kernels[0]),
        spell,
        what="The gradient explodes during backpropagation: its rms in "
        f"{code(view.layer(first.row))} is {ratio:.0f} times its "
        f"rms in {code(view.layer(last.row))}",
        evidence={"ratio": ratio, "ratio_limit": limit},
        cause="Each layer makes the gradient larger. Possible reasons are "
        "initial weights that are too large, or a recurrent layer over many "
        "time steps.",
        remedy="Clip the gradient with `global_clipnorm=1.0` in the optimizer, "
        "and use the default initializers.",
    )


def _is_of_a_level(spell: Spell, norm: np.ndarray, limits: Limits) -> bool:
    """Return whether gradients only vary around a level that they long had.

    Those of a critic, whose targets grow with what it learns, reach a level,
    and go up and down around it.
    """
    if spell.until_the_end or spell.start < limits["exploding-gradient.long"]:
        return False
    level = median(norm[spell.start // 2 : spell.start])
    peak = float(np.nanmax(norm[spell.slice]))
    return peak < limits["exploding-gradient.level"] * level


def forward_growth(view: View) -> float:
    """Compute how much activations grow with depth in the first step.

    Returns:
        Rms of the last hidden activations over that of the first ones; 1 for
        fewer than six of them, with layers that normalise, or where the first
        step was not recorded.
    """
    rows = [
        row
        for row, activation in view.activations
        if activation.kind
        # Outputs of a sigmoid or tanh stay within bounds, and cannot grow.
        in ("relu", "gelu", "silu", "elu", "selu", "leaky_relu")
        and not view.is_output(activation)
    ]
    if len(rows) < 6 or not view.is_from_start or view.is_normalised:
        return 1.0
    rms = view.get("activation_rms")[0, rows].astype(float)
    first, last = median(rms[:2]), median(rms[-2:])
    return float(last / first) if first > 0 else 1.0


def _forward_growth_finding(
    view: View, limits: Limits, growth: float
) -> Finding:
    first_layer = view.layer(view.kernels[0])
    return finding(
        view,
        "exploding-gradient",
        "error" if not np.isfinite(view.last_loss) else "warning",
        first_layer,
        None,
        what="In the first step, the outputs of the last hidden layers are "
        f"{growth:.3g} times as large as those of the first: they grow from "
        f"{code(first_layer)} on, and so do the gradients",
        evidence={
            "growth_forward": growth,
            "growth_forward_limit": limits["exploding-gradient.forward"],
            "first_loss": view.first_loss,
        },
        cause="Each layer adds to its input, or multiplies it by more than "
        "one, and nothing normalises the result. Possible reasons are blocks "
        "`x + f(x)` without normalisation, or initial weights that are a "
        "little too large.",
        remedy="Put `LayerNormalization()` before each block, or start the "
        'last layer of each block with `kernel_initializer="zeros"`.',
    )


def _growth_finding(
    view: View, limits: Limits, spell: Spell, norm: np.ndarray, start: float
) -> Finding:
    peak = float(np.nanmax(norm[spell.slice]))
    norms = view.get("gradient_norm")[spell.slice].astype(float)
    # Infinite gradients have a rule of their own, `non_finite`.
    norms = np.where(np.isinf(norms), np.nan, norms)
    row = int(np.argmax(np.nan_to_num(norms, nan=-1).max(axis=0)))
    return finding(
        view,
        "exploding-gradient",
        "error" if spell.until_the_end else "warning",
        view.layer(row),
        spell,
        what=f"The global gradient norm grew to {peak:.3g}, which is "
        f"{peak / start:.3g} times its value at the start; most of it comes "
        f"from {code(view.layer(row))}",
        evidence={
            "growth": peak / start,
            "growth_limit": limits["exploding-gradient.growth"],
            "global_gradient_norm": peak,
            "start": start,
        },
        cause="The record does not tell why. Possible reasons, the likeliest "
        "first, are updates that are too large (they lead to where the loss is "
        "steep, and its slope makes the next one even larger), odd batches, "
        "and a recurrent layer over many time steps.",
        remedy="Clip the gradient with `global_clipnorm=1.0` in the optimizer, "
        "or divide the learning rate by ten.",
    )
