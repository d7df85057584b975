"""Rules about the axis that a batch norm keeps apart."""

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
        name="norm-axis",
        rank=104,
        ceiling="warning",
        what="A batch norm has statistics for each row of a picture, where the "
        "channels come last.",
        needs="`Callback`",
        shown_by=Shown(("mean_distance", "variance_distance", "gradient_norm")),
        is_note_if_learned=True,
        cause_rank=105,
        symptoms=("nothing-learned", "unscaled-input"),
    )
)


@rule
def norm_axis(view: View, limits: Limits) -> Findings:
    """Batch norms of axis 1 in a network whose channels come last."""
    notes = view.wiring("norm_axis")
    if not notes:
        return
    layers = [wiring.name for wiring in notes]
    rank = int(notes[0].detail.rpartition(" ")[2])
    yield finding(
        view,
        "norm-axis",
        "warning",
        layers[0],
        None,
        what=f"{join_code(layers)} {'have' if len(layers) > 1 else 'has'} "
        "`axis=1`, the rows of a picture, and the convolutions have the "
        "channels last",
        evidence={"axis": 1, "rank": rank, "layers": layers},
        cause="A batch norm has a mean, a variance, a scale and an offset for "
        "each index of its axis. Here all channels of a row share them, so "
        "channels of different sizes stay so. `axis=1` is right for "
        "`channels_first`.",
        remedy=f"Use {code('BatchNormalization(axis=-1)')}, the default.",
    )
