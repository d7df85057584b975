"""Rules about `trainable` that was changed after `compile`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradscope.diagnosis.kinds import Kind, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.wording import code, finding, join_words

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View


declare(
    Kind(
        name="stale-trainable",
        rank=105,
        ceiling="warning",
        what="`trainable` was changed after `compile`, and Keras goes on with "
        "what was compiled.",
        needs="model",
        shown_by=Shown(("update_to_weight_ratio",)),
    )
)


@rule
def stale_trainable(view: View, limits: Limits) -> Findings:
    """Layers that were frozen or unfrozen without a new `compile`."""
    layers = view.schema.stale_layers
    if not layers:
        return
    states = [
        f"{code(name)} is {'still' if is_trained else 'not'} trained"
        for name, is_trained in layers
    ]
    yield finding(
        view,
        "stale-trainable",
        "warning",
        layers[0][0],
        None,
        what=f"`trainable` was changed after `compile` without effect: "
        f"{join_words(states)}",
        evidence={"layers": [name for name, _ in layers]},
        cause="Keras fixes the set of trained weights when it traces the step "
        "and keeps reusing that trace, with or without gradscope. A batch of "
        "another size is traced anew. Then a layer that was frozen is no "
        "longer trained, and for one that was unfrozen Keras 3 raises an "
        "error, since the optimizer was built without its weights.",
        remedy="Call `model.compile(...)` after each change of `trainable`.",
    )
