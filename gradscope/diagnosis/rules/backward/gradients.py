"""Rules about gradients that are NaN, infinite, zero or missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.rules.backward import (
    after_nan,
    layer_lookups,
    missing_targets,
)
from gradscope.diagnosis.spells import longest_spell, median, spells
from gradscope.diagnosis.wording import finding, join_code

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.spells import Spell
    from gradscope.diagnosis.view import View
    from gradscope.reading.nonfinite import NonFinite


declare(
    Kind(
        name="non-finite",
        rank=10,
        ceiling="error",
        what="A value became NaN or infinite; the finding names the first one.",
        shown_by=Shown(("gradient_nonfinite",)),
        shown_by_origin={
            "input": Shown(("data_nonfinite",), role="input"),
            "target": Shown(("data_nonfinite",), role="target"),
            "output": Shown(("data_nonfinite",), role="output"),
            "activation": Shown(("activation_nonfinite",)),
            "weight": Shown(("weight_norm",)),
            "update": Shown(("update_norm",)),
        },
        cause_rank=230,
        symptoms=(
            "loss-diverges",
            "dead-relu",
            "zero-gradient",
            "saturated-activation",
            "batchnorm-statistics",
            "learning-rate",
            "update-too-small",
            "update-too-large",
            "loss-metric-disagree",
        ),
    )
)


@rule
def non_finite(view: View, limits: Limits) -> Findings:
    """The first NaN or infinity of the run."""
    origin = view.first_nonfinite
    if origin is None:
        return
    index = int(np.searchsorted(view.steps, origin.step))
    # The step itself may be one that was skipped, and so is not in the view.
    index = min(index, view.count - 1)
    spell = spells(np.arange(view.count) >= index)[0]
    # The first sentence says what happened, and the others why.
    what, _, cause = origin.message.partition(". ")
    evidence: dict[str, int | str | None] = {
        "step": origin.step,
        "first": origin.kind,
    }
    if origin.kind == "layer":
        evidence["operation"] = origin.name
    if origin.kind == "target" and missing_targets.are_left_out(view):
        yield missing_targets.left_out_finding(view, origin, spell)
        return
    aftermath = after_nan.describe_aftermath(view, origin, index)
    yield finding(
        view,
        "non-finite",
        "error",
        layer_lookups.owning_layer(view, origin.name)
        or layer_lookups.boundary_layer(view, origin.kind),
        spell,
        what=what + aftermath.headline,
        evidence={**evidence, **aftermath.evidence},
        cause=f"{cause} {aftermath.explanation}".strip(),
        remedy=f"Fix the cause, and {_restart(origin)}.",
    )


def _restart(origin: NonFinite) -> str:
    """Advise from which weights to train again."""
    if origin.last_clean_step is None:
        return "start again from weights that are finite"
    if origin.exact:
        return "restart from weights saved before this step"
    # It may have begun in a step in between, which was not recorded.
    return f"restart from weights saved before step {origin.last_clean_step}"


declare(
    Kind(
        name="zero-gradient",
        rank=200,
        ceiling="error",
        what="A kernel's gradient is exactly zero, and no other finding "
        "explains it; in float16 it may be too small to represent.",
        shown_by=Shown(("gradient_norm",)),
        limits={
            "records": Limit(
                20,
                "number of consecutive recorded steps in which the whole "
                "gradient is zero",
            ),
        },
    )
)


@rule
def zero_gradient(view: View, limits: Limits) -> Findings:
    """Kernels whose gradient is exactly zero for many steps."""
    zero_kernels = _zero_kernels(view, limits)
    # A network whose loss has reached zero has no gradient anywhere.
    if not zero_kernels or _has_converged(view, zero_kernels):
        return
    if view.went_well or (view.loss == 0).all():  # `nothing_learned` reports it
        return
    # Where other variables of a layer learn, only the kernel has no gradient.
    whole_layers = [
        pair for pair in zero_kernels if not _has_learning_sibling(view, *pair)
    ]
    is_alone = not whole_layers
    zero_kernels = whole_layers or zero_kernels
    row, spell = zero_kernels[0]
    layers = [view.layer(row) for row, _ in zero_kernels]
    names = [view.schema.variables[row].name for row, _ in zero_kernels]
    cause, remedy = _explain_zero(view, is_alone)
    yield finding(
        view,
        "zero-gradient",
        "error" if spell.until_the_end else "warning",
        view.layer(row),
        spell,
        what=f"The gradient of {join_code(names if is_alone else layers)} is "
        "exactly zero, so nothing is learned there"
        + (
            ", while other variables of the layer have a gradient"
            if is_alone
            else ""
        ),
        evidence={
            "gradient_norm": 0.0,
            "records": spell.length,
            "records_limit": limits["zero-gradient.records"],
            "layers": layers,
        },
        cause=cause,
        remedy=remedy,
    )


def _zero_kernels(view: View, limits: Limits) -> list[tuple[int, Spell]]:
    """List the kernels without any gradient for many steps, with the steps."""
    # Kernels of zeros have a rule of their own, `zero_init`.
    is_zero = view.get("gradient_norm") == 0
    if not _is_float16(view):
        is_zero &= view.get("weight_norm") != 0
    # A very short run has fewer records than the limit asks for.
    min_records = min(limits["zero-gradient.records"], max(5, view.count - 1))
    zero_spells = (
        (row, longest_spell(is_zero[:, row], min_records))
        for row in view.kernels
    )
    return [(row, spell) for row, spell in zero_spells if spell]


def _explain_zero(view: View, is_alone: bool) -> tuple[str, str]:
    """Find why a gradient may be zero: cause and remedy, as sentences.

    Args:
        view: The run.
        is_alone: Whether other variables of the layer have a gradient.
    """
    if _can_underflow(view):
        return (
            "The likely reason is float16, in which this network computes: "
            "gradients below 6e-8 become zero there.",
            "Wrap the optimizer in `keras.optimizers.LossScaleOptimizer`, or "
            'use `"mixed_bfloat16"`.',
        )
    if is_alone:
        return (
            "The layer itself is reached by the gradient. Possible reasons are "
            "that what this variable multiplies is always zero (for a "
            "recurrent kernel the state, as where each call has one time step "
            "and starts from zeros), or that its product is not used.",
            "Look at what this variable multiplies: for a recurrent layer, "
            "whether the state is passed on from call to call "
            "(`initial_state=...`).",
        )
    return (
        "Something between this layer and the loss blocks the gradient. "
        "Possible reasons are layers whose units are all dead, a loss that "
        "does not depend on this layer, rounding or comparisons, or weights "
        "of zero.",
        "Check the activations of the layers after this one, and look for "
        "operations without a slope (`round`, `argmax`, `cast` to an "
        "integer, comparisons).",
    )


declare(
    Kind(
        name="disconnected-variable",
        rank=110,
        ceiling="warning",
        what="No gradient of the loss reaches a variable.",
        shown_by=Shown(("gradient_norm",)),
        limits={
            "fall": Limit(
                0.95,
                "share by which the loss must have fallen for a variable "
                "without a gradient to be only a note: the network learns "
                "without it (benchmark)",
            ),
        },
        cause_rank=225,
    )
)


@rule
def disconnected_variable(view: View, limits: Limits) -> Findings:
    """Variables that no gradient of the loss reaches."""
    rows = disconnected_rows(view)
    if not rows:
        return
    names = [view.schema.variables[row].name for row in rows]
    # An output without a loss may be meant, in a model of several outputs. And
    # a network that learns well without these variables misses nothing.
    losses = view.model.get("loss")
    has_free_output = isinstance(losses, list) and None in losses
    has_learned = view.loss_fall > limits["disconnected-variable.fall"]
    yield finding(
        view,
        "disconnected-variable",
        "note" if has_free_output or has_learned else "warning",
        view.layer(rows[0]),
        None,
        what=f"No gradient of the loss reaches {join_code(names)}, so the "
        "optimizer does not change " + ("it" if len(names) == 1 else "them"),
        evidence={"variables": names, "gradient_missing": 1.0},
        cause="Possible reasons are a layer whose output the loss does not "
        "use, and a path to the loss that is cut: by `stop_gradient`, by "
        "rounding or a cast to an integer, by numpy, or because it is computed "
        "outside the gradient tape.",
        remedy="Follow the layer's output to the loss, and remove what cuts "
        "the path, or add a term of the loss that trains the layer. If it is "
        "meant to stay constant, set `layer.trainable = False`.",
    )


def disconnected_rows(view: View) -> list[int]:
    """List the variables without a gradient in all steps that they are part of.

    There are none if no variable has one: then it is not the variables.
    """
    missing = view.get("gradient_missing")
    took_part = ~np.isnan(missing)
    is_cut = ((missing == 1) | ~took_part).all(axis=0)
    is_cut &= took_part.sum(axis=0) >= min(10, view.count)
    return [] if is_cut.all() else np.flatnonzero(is_cut).tolist()


def _has_learning_sibling(view: View, row: int, spell: Spell) -> bool:
    """Return whether a matrix or bias of the same layer has a gradient."""
    norms = view.get("gradient_norm")[spell.slice]
    siblings = [
        other
        for other, variable in enumerate(view.schema.variables)
        if variable.layer == view.layer(row) and other != row
    ]
    return any(median(norms[:, other]) > 0 for other in siblings)


def _is_float16(view: View) -> bool:
    """Return whether outputs are float16, which has no number below 6e-8."""
    rows = view.data_rows("output")
    return any(view.schema.data[row].dtype == "float16" for row in rows)


def _can_underflow(view: View) -> bool:
    """Return whether gradients are float16 and no loss scale enlarges them."""
    return _is_float16(view) and not np.isfinite(view.get("loss_scale")).any()


def _has_converged(view: View, zero_kernels: list[tuple[int, Spell]]) -> bool:
    """Return whether gradients became zero because the loss did."""
    are_zero_at_the_end = all(spell.until_the_end for _, spell in zero_kernels)
    first_zero = min(spell.start for _, spell in zero_kernels)
    # What was zero from the start has not become so by learning.
    if not are_zero_at_the_end or first_zero < 10:
        return False
    norm = view.get("global_gradient_norm").astype(float)
    return bool(median(norm[first_zero:]) < 1e-3 * median(norm[:10])) or (
        view.loss_fall > 0.95
    )
