"""Rules about training mode against inference mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.rules.forward.batch_norms import (
    has_batch_norm,
    have_hardly_begun,
    probe_gap,
    ratio_limit,
)
from gradscope.diagnosis.wording import finding

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View


declare(
    Kind(
        name="train-inference-mismatch",
        rank=270,
        ceiling="warning",
        what="The same batch has a far larger loss in inference mode than in "
        "training mode.",
        needs="`Callback` and a `fit` on arrays, or `Callback(probe=...)`",
        shown_by=Shown(
            (
                "mean_distance",
                "variance_distance",
                "dropped_fraction",
                "dropout_rate",
            )
        ),
        limits={
            "ratio": Limit(
                2,
                "loss in inference mode divided by the loss in training mode, "
                "for the same batch",
            ),
            "plain_ratio": Limit(
                1.5,
                "the same ratio where there is no batch norm: dropout and "
                "noise make the loss larger in training mode (benchmark)",
            ),
            "error_ratio": Limit(
                10,
                "the same ratio for losses of regressions (mse, mae), which "
                "can always become smaller; broken networks have 100 to 4000 "
                "(examples)",
            ),
        },
    )
)


@rule
def train_inference_mismatch(view: View, limits: Limits) -> Findings:
    """A loss that is far higher in inference mode than in training mode.

    Both are of the same batch. Needs a probe: `Callback` and a `fit` on
    arrays, or `probe=`.
    """
    ratio, is_gap = probe_gap(view, limits)
    if not is_gap or have_hardly_begun(view, limits):
        return
    has_norm = has_batch_norm(view)
    limit = limits[f"train-inference-mismatch.{ratio_limit(view)}"]
    yield finding(
        view,
        "train-inference-mismatch",
        "warning",
        None,
        None,
        what=f"The loss of the same batch is {ratio:.2g} times as large in "
        "inference mode as in training mode",
        evidence={"loss_ratio": ratio, "loss_ratio_limit": limit},
        cause="A layer computes something different in inference mode: a batch "
        "norm whose moving statistics differ from those of the batch, or a "
        "layer of your own"
        + (" that depends on `training`." if has_norm else "."),
        remedy="Compare the outputs of the layers in both modes. Inside a "
        "layer of your own, pass `training` on to its layers.",
    )
