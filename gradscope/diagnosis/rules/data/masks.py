"""Rules about masks that are lost, or that leave out what is no padding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.rules.data.data_scale import is_integer
from gradscope.diagnosis.spells import median
from gradscope.diagnosis.wording import code, finding, percent

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View

declare(
    Kind(
        name="masked-word",
        rank=66,
        ceiling="warning",
        what="Token 0 stands among other tokens, and `mask_zero` takes it for "
        "padding and leaves it out.",
        needs="`Callback`; a `fit` on arrays",
        shown_by=Shown(("data_zero_fraction",), role="input"),
        is_note_if_learned=True,
        limits={
            "share": Limit(
                0.2,
                "share of the sequences in which a single 0 has another token "
                "on either side; a rare word does no harm",
            ),
        },
    )
)


@rule
def masked_word(view: View, limits: Limits) -> Findings:
    """A word with the number 0 that an embedding takes for padding."""
    limit = limits["masked-word.share"]
    for wiring in view.wiring("masked_word"):
        share = float(wiring.detail)
        if not share > limit:
            continue
        yield finding(
            view,
            "masked-word",
            "warning",
            wiring.name,
            None,
            what=f"In {percent(share)} of the sequences a single 0 stands "
            f"between other tokens, and {code(wiring.name)} "
            "(`mask_zero=True`) masks each 0 as padding",
            evidence={"share": share, "share_limit": limit},
            cause="Padding stands at the end or at the beginning, so here 0 "
            "is most likely a word too: the first one of a vocabulary that "
            "starts at 0, or all that are unknown. Layers that read the mask "
            "do not see it.",
            remedy="Start the vocabulary at 1 (`tokens + 1`, and "
            "`input_dim` one larger), and keep 0 for the padding.",
        )
        return


@rule
def lost_mask(view: View, limits: Limits) -> Findings:
    """A layer that drops the mask in front of one that would read it."""
    rows = [r for r in view.data_rows("input") if is_integer(view, r)]
    if len(rows) != 1:
        return
    share = float(median(view.get("data_zero_fraction")[:, rows[0]]))
    limit = limits["unmasked-padding.lost"]
    # Without padding there was nothing to mask.
    for wiring in view.wiring("lost_mask"):
        if not share > limit or not np.isfinite(share):
            return
        yield finding(
            view,
            "unmasked-padding",
            "warning",
            wiring.name,
            None,
            what=f"{code(wiring.name)} gets a mask and hands none on, so "
            f"{code(wiring.detail)} reads the padding, {percent(share)} of "
            "the tokens, like the words",
            evidence={"zeros": share, "zeros_limit": limit},
            cause="Keras hands a mask on only through layers that say that "
            "they support masking. At the end of a padded text a recurrent "
            "layer may have forgotten the words, and averages include the "
            "padding.",
            remedy="In a layer of your own set `self.supports_masking = True` "
            "in `__init__`, if it treats each position by itself; else hand "
            f"the mask to {code(wiring.detail)} yourself: `mask=...`.",
        )
        return
