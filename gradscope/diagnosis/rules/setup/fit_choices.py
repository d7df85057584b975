"""Rules about arguments of `fit` that contradict the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradscope.diagnosis.kinds import Kind, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.wording import code, finding, join_code

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View

declare(
    Kind(
        name="shuffled-state",
        rank=63,
        ceiling="warning",
        what="A layer keeps its state from batch to batch, and `fit` shuffles "
        "the examples.",
        needs="`Callback`; a `fit` on arrays",
        shown_by=Shown(("gradient_norm",)),
        is_note_if_learned=True,
        cause_rank=53,
        symptoms=("nothing-learned", "vanishing-gradient"),
    )
)


@rule
def shuffled_state(view: View, limits: Limits) -> Findings:
    """Stateful layers whose next batch is of other sequences."""
    layers = [wiring.name for wiring in view.wiring("shuffled_state")]
    if not layers:
        return
    yield finding(
        view,
        "shuffled-state",
        "warning",
        layers[0],
        None,
        what=f"{join_code(layers)} begins each batch with the state of the "
        "batch before (`stateful=True`), and `fit` shuffles the examples, so "
        "that state is of other sequences",
        evidence={"layers": layers},
        cause="`fit` shuffles arrays unless it is told not to. A stateful "
        "layer takes row i of a batch for the continuation of row i of the "
        "batch before.",
        remedy="Use `fit(..., shuffle=False)` with sequences in that order, "
        "and `reset_states()` where they end; or `stateful=False`.",
    )


@rule
def idle_plateau(view: View, limits: Limits) -> Findings:
    """A `ReduceLROnPlateau` whose least rate is the first one."""
    for wiring in view.wiring("idle_plateau"):
        rate, _, least = wiring.detail.partition(" ")
        yield finding(
            view,
            "learning-rate",
            "warning",
            None,
            None,
            what=f"{code(wiring.name)} can never lower the learning rate: it "
            f"is {rate}, and the callback's `min_lr` is {least}",
            evidence={"learning_rate": float(rate), "min_lr": float(least)},
            cause="`min_lr` is the rate below which the callback does not go, "
            "and training began there.",
            remedy="Leave `min_lr` out, or set it far below the first rate, as "
            f"in `min_lr={float(rate) / 1000:.1g}`.",
        )
        return
