"""Rules about layers that run in inference mode while they are trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.kinds import Kind, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.wording import finding, join_code

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View

declare(
    Kind(
        name="inference-mode",
        rank=108,
        ceiling="error",
        what="A batch norm is trained in inference mode, with moving "
        "statistics that were never computed.",
        needs="model",
        shown_by=Shown(("training_mode", "state_movement")),
        is_note_if_learned=True,
        cause_rank=14,
        symptoms=(
            "non-finite",
            "loss-diverges",
            "learning-rate",
            "exploding-gradient",
            "vanishing-gradient",
            "init-too-large",
            "unscaled-input",
            "update-too-large",
            "dead-relu",
            "batchnorm-statistics",
            "nothing-learned",
        ),
    )
)


@rule
def norm_in_inference_mode(view: View, limits: Limits) -> Findings:
    """Trained batch norms that never see the statistics of a batch.

    Statistics that were loaded may be meant to stay, as in fine-tuning; those
    with which a layer starts, means of 0 and variances of 1, do nothing.
    """
    mode, movement = view.get("training_mode"), view.get("state_movement")
    trained = set(view.schema.layers)
    layers = [
        state.layer or state.name
        for row, state in view.states
        if state.kind == "batch_norm"
        and (state.layer or state.name) in trained
        and (mode[:, row] == 0).all()
        and np.nanmax(movement[:, row], initial=0) == 0
        and _starts_anew(view, state.layer or state.name)
    ]
    if not layers or view.count < 5:
        return
    is_broken = not np.isfinite(view.last_loss) and not view.is_finite[-1]
    yield finding(
        view,
        "inference-mode",
        "error" if is_broken else "warning",
        layers[0],
        None,
        what=f"{join_code(layers)} ran in inference mode in every step, with "
        "moving statistics that never changed: nothing is normalised",
        evidence={"training_mode": 0.0, "layers": layers},
        cause="Most likely the model was called without `training=True`. Then "
        "a batch norm uses its moving statistics, which are still those that "
        "it started with (means of 0, variances of 1), and dropout drops "
        "nothing.",
        remedy="In a loop of your own, call `model(x, training=True)`. Inside "
        "a layer of your own, pass `training` on to its layers.",
    )


def _starts_anew(view: View, layer: str) -> bool:
    """Return whether statistics are those a layer starts with.

    Of records of before, which don't tell, those count that did not learn.
    """
    is_initial = view.facts.get(layer, {}).get("is_initial")
    if is_initial is None:
        return not view.is_finite[-1] or view.loss_fall < 0.2
    return bool(is_initial)
