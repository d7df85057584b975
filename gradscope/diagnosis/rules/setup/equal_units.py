"""Rules about units that start with equal weights, and so stay equal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.rules.setup.initial_weights import (
    GLOROT,
    HE,
    min_records,
)
from gradscope.diagnosis.spells import median, spells
from gradscope.diagnosis.wording import code, finding

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View


declare(
    Kind(
        name="symmetric-units",
        rank=30,
        ceiling="error",
        what="All units of a hidden layer receive the same gradient and "
        "stay alike.",
        needs="model, for recurrent layers and embeddings",
        shown_by=Shown(("gradient_unit_spread",)),
        limits={
            "spread": Limit(
                0.01,
                "difference between the gradients of a layer's units, as a "
                "share of their norm; healthy layers have 0.86 or more "
                "(examples)",
            ),
            "records": Limit(10, "number of consecutive recorded steps"),
        },
        cause_rank=20,
        symptoms=(
            "dead-relu",
            "vanishing-gradient",
            "init-too-small",
            "init-too-large",
            "zero-gradient",
            "saturated-activation",
            "learning-rate",
            "loss-metric-disagree",
        ),
    )
)


@rule
def symmetric_units(view: View, limits: Limits) -> Findings:
    """Units of a layer that receive equal gradients and so never differ."""
    spread = view.get("gradient_unit_spread")
    fewest = min_records(view, limits["symmetric-units.records"])
    yield from _constant_recurrent_layers(view)
    yield from _constant_embeddings(view)
    for row in view.kernels:
        are_alike = spread[:, row] < limits["symmetric-units.spread"]
        alike_spells = spells(are_alike, fewest)
        # A single unit has no other that it could be like.
        if not alike_spells or view.schema.variables[row].shape[-1] < 2:
            continue
        if _makes_outputs(view, row):
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
            what=f"All units of {code(layer)} receive the same gradient, so "
            "nothing makes them differ",
            evidence={
                "gradient_unit_spread": median(spread[spell.slice, row]),
                "gradient_unit_spread_limit": limits["symmetric-units.spread"],
                "records": spell.length,
            },
            cause=_cause_of_likeness(view, row, from_start),
            remedy=f"Start kernels with random numbers: {HE}{GLOROT}.",
        )
        return


def _cause_of_likeness(view: View, row: int, from_start: bool) -> str:
    """Tell why the units of a kernel may receive the same gradient."""
    facts = view.facts.get(view.layer(row), {})
    initializer = _constant_initializer(facts, "kernel_initializer")
    if initializer and from_start:
        return (
            f"They start with equal weights, those of {code(initializer)}. "
            "Units with equal weights compute the same output, and do the work "
            "of a single unit."
        )
    reason = (
        "a constant initializer"
        if from_start
        else "weights that were overwritten with a single value"
    )
    return (
        f"The likeliest reason is {reason}: units with equal weights compute "
        "the same output, and do the work of a single unit. Units that are "
        "linear, and whose outputs are only added up, get the same gradient, "
        "too, whatever their weights."
    )


def _makes_outputs(view: View, row: int) -> bool:
    """Return whether the units of a kernel are outputs, as far as is known.

    Outputs get equal gradients as long as their errors are alike: of a mean
    absolute error only the sign arrives, and outputs of random weights are all
    below targets of 10. Nothing keeps them alike.
    """
    if row in _last_kernels(view):
        return True
    shapes = [view.schema.data[n].shape for n in view.data_rows("output")]
    width = view.schema.variables[row].shape[-1]
    if width not in [shape[-1] for shape in shapes if shape]:
        return False
    # A hidden layer may be as wide as the output is.
    facts = view.facts.get(view.layer(row), {})
    return not _constant_initializer(facts, "kernel_initializer")


def _last_kernels(view: View) -> list[int]:
    """List the kernels behind the last layer with a hidden activation."""
    hidden = {
        view.layer_of(activation)
        for _, activation in view.activations
        if activation.kind not in ("sigmoid", "softmax")
    }
    for index, row in reversed(list(enumerate(view.kernels))):
        if view.layer(row) in hidden:
            return view.kernels[index + 1 :] or view.kernels[-1:]
    return view.kernels[-1:]


def _constant_recurrent_layers(view: View) -> Findings:
    """Find recurrent layers whose weights start equal.

    Their gates differ from each other, so that the gradient of the kernel does
    not show that their units are equal.
    """
    for name, fact in view.facts.items():
        kind = _constant_initializer(fact, "kernel_initializer")
        if fact.get("class") not in ("LSTM", "GRU", "SimpleRNN") or not kind:
            continue
        # The weights belong to the layer's cell, whose name the record has.
        parts = [n for n in view.schema.layers if n.startswith(f"{name}/")]
        yield finding(
            view,
            "symmetric-units",
            "error",
            parts[0] if parts else name,
            None,
            what=f"All units of {code(name)} start with the same weights, so "
            "they stay alike and do the work of a single unit",
            evidence={"kernel_initializer": kind},
            cause="Units with equal weights compute the same output and "
            "receive the same gradient, so nothing ever makes them differ.",
            remedy=f"Start kernels with random numbers: {GLOROT}, and "
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
        # A single column has no other that it could be like.
        if fact["config"].get("output_dim") == 1:
            continue
        yield finding(
            view,
            "symmetric-units",
            "error",
            name,
            None,
            what=f"All columns of {code(name)} start with the same values, so "
            "they stay alike and do the work of a single column",
            evidence={"embeddings_initializer": kind},
            cause="Columns that start alike receive the same gradient, and no "
            "later operation makes them differ: products and sums of "
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
