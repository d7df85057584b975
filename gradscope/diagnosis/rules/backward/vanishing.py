"""Rules about gradients that vanish on their way back to the first layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.rules.backward import vanishing_causes
from gradscope.diagnosis.rules.backward.first_and_last import Ends
from gradscope.diagnosis.spells import longest_spell, median
from gradscope.diagnosis.wording import code, finding

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.spells import Spell
    from gradscope.diagnosis.view import View


declare(
    Kind(
        name="vanishing-gradient",
        rank=170,
        ceiling="error",
        what="The first kernels get only a small fraction of the gradient of "
        "the last ones; or a simple recurrent layer over 20 or more time steps "
        "learns nothing.",
        needs="model, for recurrent layers",
        shown_by=Shown(("gradient_rms", "gradient_norm")),
        limits={
            "ratio": Limit(
                0.01,
                "rms gradient of the first kernels divided by that of the last "
                "ones; broken networks have 0.0018 to 0.0045, healthy ones "
                "0.10 or more (examples)",
            ),
            "adaptive_ratio": Limit(
                1e-4,
                "the same ratio where the optimizer divides by the size of the "
                "gradient, as Adam does, which compensates for much of it "
                "(benchmark)",
            ),
            "records": Limit(20, "number of consecutive recorded steps"),
            "moved": Limit(
                1e-4,
                "update-to-weight ratio of the first kernels below which they "
                "hardly learn: a tenth of the usual 0.001",
            ),
            "time_steps": Limit(
                20,
                "number of time steps of a simple recurrent layer after which "
                "too little of the gradient is left (10 to 20 are enough: "
                "Goodfellow et al. 2016, section 10.7)",
            ),
            "recurrent_fall": Limit(
                0.05,
                "share of the first loss: a network with such a layer whose "
                "loss fell by less learns nothing (benchmark)",
            ),
        },
        cause_rank=120,
        symptoms=(
            "init-too-small",
            "saturated-activation",
            "update-too-small",
            "learning-rate",
            "zero-gradient",
            "loss-metric-disagree",
        ),
    )
)


@rule
def vanishing_gradient(view: View, limits: Limits) -> Findings:
    """Gradients of the first kernels far smaller than those of the last ones.

    Queries and keys of attention are left out. Their gradient goes through a
    softmax and is small where that is peaked; the gradient of earlier layers
    goes through the values.
    """
    kernels = [row for row in view.kernels if not _is_query_or_key(view, row)]
    if len(kernels) < 2:
        return
    ends = Ends(view, kernels)
    limit = _ratio_limit(view, limits)
    min_records = min(
        limits["vanishing-gradient.records"], max(10, view.count // 2)
    )
    # Gradients of exactly zero have a rule of their own, `zero_gradient`.
    is_small = (ends.ratio < limit) & (ends.ratio > 0)
    spell = longest_spell(is_small, min_records)
    if spell is None:
        return
    first, last = ends.typical(spell)
    ratio = first.rms / last.rms
    cause, remedy = vanishing_causes.explain_vanishing(view, limits)
    yield finding(
        view,
        "vanishing-gradient",
        "error" if _is_stalled(view, limits) else "warning",
        view.layer(kernels[0]),
        spell,
        what="The gradient vanishes during backpropagation: its rms in "
        f"{code(view.layer(first.row))} is {_fraction(ratio)} of "
        f"its rms in {code(view.layer(last.row))}"
        + _effect(view, limits, ends.first, spell),
        evidence={
            "ratio": ratio,
            "ratio_limit": limit,
            "first_gradient_rms": first.rms,
            "last_gradient_rms": last.rms,
            "loss_fall": view.loss_fall,
        },
        cause=cause,
        remedy=remedy,
    )


def _ratio_limit(view: View, limits: Limits) -> float:
    """Choose the limit of the ratio by the effect of small gradients.

    An adaptive optimizer makes up for small gradients. Normalised networks
    learn with gradients of all sizes, even if the loss falls late.
    """
    makes_up = view.is_adaptive and (
        view.is_normalised or not _is_stalled(view, limits)
    )
    return limits[
        "vanishing-gradient.adaptive_ratio"
        if makes_up
        else "vanishing-gradient.ratio"
    ]


@rule
def forgetful_recurrence(view: View, limits: Limits) -> Findings:
    """A simple recurrent layer over many time steps that does not learn.

    Its gradient is a sum over time steps. The last ones dominate that sum, so
    that its size does not show that the first ones contribute nothing.
    """
    inputs = view.data_rows("input")
    max_fall = limits["vanishing-gradient.recurrent_fall"]
    if not inputs or not view.loss_fall < max_fall:
        return
    shape = view.schema.data[inputs[0]].shape
    length = shape[0] if shape else 0
    min_steps = limits["vanishing-gradient.time_steps"]
    for name, fact in view.facts.items():
        function = str((fact.get("config") or {}).get("activation", "tanh"))
        if fact.get("class") != "SimpleRNN" or length < min_steps:
            continue
        # The slope of these is below 1 but for a point; that of a ReLU is 1.
        if function not in ("tanh", "sigmoid"):
            continue
        # The weights belong to the layer's cell, whose name the record has.
        parts = [n for n in view.schema.layers if n.startswith(f"{name}/")]
        yield finding(
            view,
            "vanishing-gradient",
            "warning",
            parts[0] if parts else name,
            None,
            what=f"{code(name)} runs over {length} time steps with {function}, "
            "and the network does not learn",
            evidence={
                "time_steps": length,
                "time_steps_limit": min_steps,
                "loss_fall": view.loss_fall,
            },
            cause="Each time step multiplies the gradient by the slope of "
            f"{function}"
            + (" (a quarter at most)" if "sigmoid" in function else "")
            + " and by the same weights, so that it usually vanishes before it "
            "reaches the first time steps. The record has no gradients of "
            "single time steps, so nothing may be learned for another reason.",
            remedy="Use `LSTM` or `GRU`, which carry the gradient along. If "
            "they learn nothing either, look at inputs and targets.",
        )
        return


def _effect(view: View, limits: Limits, first: list[int], spell: Spell) -> str:
    """Describe the updates of the first kernels, in a part of a sentence.

    An optimizer that divides by the gradient's size moves them all the same.
    """
    ratios = view.get("update_to_weight_ratio")[spell.slice, first]
    moved = float(np.nanmax(median(ratios, axis=0), initial=-1))
    if moved < 0:
        return ""
    if moved < limits["vanishing-gradient.moved"]:
        return ", so the first layers hardly learn"
    return (
        "; a typical update still moves the first layers by up to "
        f"{100 * moved:.2g} %"
    )


def _is_query_or_key(view: View, row: int) -> bool:
    """Return whether a kernel computes queries or keys of attention."""
    parts = view.schema.variables[row].name.lower().split("/")
    return "query" in parts or "key" in parts


def _is_stalled(view: View, limits: Limits) -> bool:
    """Return whether the loss is known, and hardly fell."""
    return bool(view.loss_fall < limits["learned.fall"])


def _fraction(ratio: float) -> str:
    """Format a small ratio as a fraction: `0.002` as `1/500`."""
    return f"1/{1 / ratio:,.0f}"
