"""Rules about the batches that a batch norm normalises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.rules.forward.batch_norms import (
    norm_distances,
)
from gradscope.diagnosis.spells import median
from gradscope.diagnosis.wording import code, finding, join_code

if TYPE_CHECKING:
    from gradscope.diagnosis.finding import Finding
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.spells import Spell
    from gradscope.diagnosis.view import View


@rule
def batch_of_one(view: View, limits: Limits) -> Findings:
    """Batch norm over batches of a single example, which it reduces to zero."""
    norms = [state for _, state in view.states if state.kind == "batch_norm"]
    variation = view.get("data_variation")[:, view.data_rows("input")]
    mean = view.get("data_mean")[:, view.data_rows("input")]
    is_single = (
        mean.size and np.isfinite(mean).any() and np.isnan(variation).all()
    )
    # With more than two axes, the mean is over positions as well.
    are_flat = all(a.rank == 2 for _, a in view.activations)
    in_training = (view.get("training_mode") == 1).any()
    if not norms or not is_single or not are_flat or not in_training:
        return
    yield finding(
        view,
        "batchnorm-statistics",
        "error",
        norms[0].layer or norms[0].name,
        None,
        what="The network has batch norm, but each batch has only one example",
        evidence={"examples": 1},
        cause="Batch norm subtracts the mean of the batch, so nothing is left "
        "of a single example. The layer has the same output for all examples, "
        "and the layers before it get no gradient.",
        remedy="Use `batch_size=32`, or `LayerNormalization`, which averages "
        "over the units of one example.",
    )


declare(
    Kind(
        name="shared-batchnorm",
        rank=260,
        ceiling="warning",
        what="One batch norm normalises batches with different statistics.",
        shown_by=Shown(("mean_distance", "variance_distance")),
        limits={
            "distance": Limit(
                0.5, "distance between the statistics of two calls of one layer"
            ),
        },
        cause_rank=210,
        symptoms=("batchnorm-statistics", "train-inference-mismatch"),
    )
)


@rule
def shared_batchnorm(view: View, limits: Limits) -> Findings:
    """A batch norm that is called on batches with different statistics."""
    if view.last_step < limits["batchnorm-statistics.settling"]:
        return
    rows: dict[str, list[int]] = {}
    for row, state in view.states:
        if state.kind == "batch_norm":
            layer = getattr(state, "layer", "") or state.name
            rows.setdefault(layer, []).append(row)
    distance = norm_distances(view)
    limit = limits["shared-batchnorm.distance"]
    for layer, layer_rows in rows.items():
        calls = max(getattr(view.states[r][1], "calls", 1) for r in layer_rows)
        if max(calls, len(layer_rows)) < 2:
            continue
        distances = median(distance[view.end.slice, layer_rows], axis=0)
        if not np.nanmin(np.nan_to_num(distances)) > limit:
            continue
        yield finding(
            view,
            "shared-batchnorm",
            "warning",
            layer,
            None,
            what=f"{code(layer)} normalises {len(layer_rows)} kinds of batches "
            "in each step, and its moving statistics are up to "
            f"{np.nanmax(distances):.2g} away from theirs",
            evidence={
                "calls": len(layer_rows),
                "distance": float(np.nanmin(distances)),
                "distance_limit": limit,
            },
            cause="In training, each call uses the statistics of its own "
            "batch. In inference, all calls use the same moving statistics, "
            "which fit none of them.",
            remedy="Give each kind of batch its own batch norm, or concatenate "
            "the batches before the layer.",
        )


def batches_take_turns(view: View) -> bool:
    """Return whether batches of one target each take turns.

    So it is in the training of a GAN's discriminator: a batch that is real, and
    one that was made.
    """
    rows = view.data_rows("target")
    if len(rows) != 1:
        return False
    spread = view.get("data_variation")[:, rows[0]]
    mean = view.get("data_mean")[:, rows[0]]
    if (spread != 0).any() or len(np.unique(mean)) != 2:
        return False
    changed = (np.diff(mean) != 0)[np.diff(view.steps) == 1]
    return changed.size >= 10 and float(changed.mean()) > 0.75


def turns_finding(
    view: View,
    limits: Limits,
    lagging: list[tuple[str, float]],
    spell: Spell,
    severity: str,
) -> Finding:
    """Make the finding about batch norms whose batches take turns.

    Args:
        view: The run.
        limits: The limits.
        lagging: Names of batch norms, and how far their statistics are away.
        spell: The end of the run.
        severity: Severity of the finding.
    """
    names = [name for name, _ in lagging]
    worst_layer, distance = max(lagging, key=lambda pair: pair[1])
    return finding(
        view,
        "shared-batchnorm",
        severity,
        worst_layer,
        spell,
        what="Each batch has examples of one target only, two kinds of batches "
        "take turns, and the moving statistics of "
        f"{join_code(names)} are up to {distance:.2g} away from those of the "
        "last recorded batches",
        evidence={
            "distance": distance,
            "distance_limit": limits["batchnorm-statistics.distance"],
            "layers": names,
        },
        cause="In training, each batch is normalised by its own statistics, so "
        "that a network may tell the kinds apart by something else than what "
        "it sees in inference mode. There (also where a discriminator is "
        "frozen in the model that trains the generator), both kinds share the "
        "moving statistics of all.",
        remedy="Put both kinds into each batch, leave batch norm out of a "
        "discriminator (or use `LayerNormalization`, which needs no batch), or "
        "run it in training mode wherever its answer counts.",
    )
