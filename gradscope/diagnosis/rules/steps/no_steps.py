"""Rules about trainings in which the optimizer made no step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradscope.diagnosis.finding import Finding
from gradscope.diagnosis.kinds import Kind, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.wording import code

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View

declare(
    Kind(
        name="no-steps",
        rank=11,
        ceiling="error",
        what="A model was trained without a single step of its optimizer.",
        needs="`Callback`, or `wrap(model=)`",
        shown_by=Shown(("update_norm",)),
    )
)

_FROZEN = (
    "The model has no weights that are trained: `trainable` is False for all "
    "of its layers. Possible reasons are a loop that unfreezes layers from a "
    "name on that no layer has, or a model that is frozen as a part of another "
    "one (a GAN's discriminator) before its own training has begun."
)

_IDLE = (
    "The model has trainable weights, and its `train_step` never reached the "
    "optimizer. `fit` traces a `train_step` once: a condition on a counter of "
    "Python's (`if self.count == 4`) is decided in that trace, and its branch "
    "is then in no step or in each. Or other optimizers train the model."
)


@rule
def no_steps(view: View, limits: Limits) -> Findings:
    """A training that ended before its optimizer was called."""
    wirings = view.wiring("no_step")
    # Steps that a loss scale skipped are those of `skipped_steps`.
    if view.count or not wirings or view.record["skipped"].max() > 0:
        return
    is_frozen = wirings[-1].detail == "frozen"
    steps = view.record.steps
    # Not by `wording.finding`, which takes the steps from the view: it has
    # none.
    yield Finding(
        kind="no-steps",
        severity="error" if is_frozen else "warning",
        run=view.run,
        layer=None,
        steps=(int(steps[0]), int(steps[-1])),
        what=f"a training ran, and the optimizer {code(wirings[-1].name)} made "
        "no step: the weights are as they were",
        evidence={"applied": 0, "is_frozen": is_frozen},
        cause=_FROZEN if is_frozen else _IDLE,
        remedy="Print `[w.path for w in model.trainable_weights]` before "
        "`compile`; set `trainable = True` for what is to be trained, and "
        "compile again."
        if is_frozen
        else "Count in a `tf.Variable`, and use `tf.cond`; to accumulate "
        "gradients, pass `gradient_accumulation_steps=4` to the optimizer. "
        "Check it: `model.optimizer.iterations` must grow.",
    )
