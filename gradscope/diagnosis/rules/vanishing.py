"""Rules about gradients that get lost on their way back."""

from __future__ import annotations

import numpy as np

from gradscope.diagnosis.registry import rule
from gradscope.diagnosis.rules import vanishing_causes
from gradscope.diagnosis.spells import longest, median, smoothed
from gradscope.diagnosis.wording import finding


@rule
def vanishing_gradient(view, limits):
    """Gradients that get lost on their way back to the first layers.

    Attention's queries and keys get what its softmax lets through, which is
    little where it is sure; what flows back goes through its values.
    """
    kernels = [row for row in view.kernels if not _only_weighs(view, row)]
    if len(kernels) < 2:
        return
    rms = view.get("gradient_rms")[:, kernels].astype(float)
    part = max(1, len(kernels) // 3)
    with np.errstate(all="ignore"):
        first, last = rms[:, :part].max(axis=1), rms[:, -part:].max(axis=1)
        ratio = smoothed(first / last)
    limit = limits["vanishing-gradient.ratio"]
    # A normalised network learns with gradients of all sizes, if later.
    if view.is_adaptive and (view.is_normalised or not _is_stuck(view, limits)):
        limit = limits["vanishing-gradient.adaptive_ratio"]
    least = min(limits["vanishing-gradient.records"], max(10, view.count // 2))
    # One of exactly zero is another fault: see `zero_gradient`.
    spell = longest((ratio < limit) & (ratio > 0), least)
    if spell is None:
        return
    typical = float(median(ratio[spell.slice]))
    where = view.layer(kernels[0])
    cause, remedy = vanishing_causes.why_it_vanishes(view, limits)
    yield finding(
        view,
        "vanishing-gradient",
        "error" if _is_stuck(view, limits) else "warning",
        where,
        spell,
        what=f"The gradient of {where} is {_fraction(typical)} of that of "
        f"{view.layer(kernels[-1])}: it vanishes on its way back, and the "
        "first layers hardly learn",
        evidence={
            "ratio": typical,
            "ratio_limit": limit,
            "first_gradient_rms": median(first[spell.slice]),
            "last_gradient_rms": median(last[spell.slice]),
            "loss_fall": view.fall,
        },
        cause=cause,
        remedy=remedy,
    )


@rule
def forgetful_recurrence(view, limits):
    """A simple recurrent layer over many time steps that learns nothing.

    Its gradient is a sum over time steps, in which the last ones hide that
    nothing arrives from the first.
    """
    inputs = view.data("input")
    most = limits["vanishing-gradient.recurrent_fall"]
    if not inputs or not view.fall < most:
        return
    shape = view.schema.data[inputs[0]].shape
    length = shape[0] if shape else 0
    least = limits["vanishing-gradient.time_steps"]
    for name, fact in view.facts.items():
        bend = str((fact.get("config") or {}).get("activation", "tanh"))
        if fact.get("class") != "SimpleRNN" or length < least:
            continue
        if bend not in ("tanh", "sigmoid"):
            continue
        parts = [n for n in view.schema.layers if n.startswith(f"{name}/")]
        yield finding(
            view,
            "vanishing-gradient",
            "warning",
            parts[0] if parts else name,
            None,
            what=f"{name} goes through {length} time steps with {bend}, and "
            "the network does not learn",
            evidence={
                "time_steps": length,
                "time_steps_limit": least,
                "loss_fall": view.fall,
            },
            cause="Each time step multiplies the gradient by the slope of "
            f"{bend}"
            + (" (a quarter at most)" if "sigmoid" in bend else "")
            + " and by the same weights: what the first time steps did has "
            "vanished long before the gradient reaches them.",
            remedy="Use `LSTM` or `GRU`, which carry it along.",
        )
        return


def _only_weighs(view, row: int) -> bool:
    parts = view.schema.variables[row].name.lower().split("/")
    return "query" in parts or "key" in parts


def _is_stuck(view, limits) -> bool:
    """Returns whether the loss is known not to fall."""
    return bool(view.fall < limits["learned.fall"])


def _fraction(ratio: float) -> str:
    if ratio <= 0 or not np.isfinite(1 / ratio):
        return "nothing"
    return f"a {1 / ratio:,.0f}th"
