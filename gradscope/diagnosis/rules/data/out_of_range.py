"""Rules about labels and indices outside of the range that a layer has.

On a CPU TensorFlow raises an error for these. Compiled by XLA, as `fit` does by
itself on a GPU, a label out of range makes a loss of NaN, and an index out of
range reads the last row of a table. Keras 3 takes an index below 0 for one from
the end, on all devices (measured with TensorFlow 2.21; docs/numerics.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.kinds import Kind, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.rules.data.data_scale import target_range
from gradscope.diagnosis.wording import code, finding

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View


declare(
    Kind(
        name="label-out-of-range",
        rank=14,
        ceiling="error",
        what="A label beyond the last class, or below 0.",
        needs="model",
        shown_by=Shown(("data_max",), role="target"),
        cause_rank=5,
        symptoms=(
            "non-finite",
            "loss-diverges",
            "loss-metric-disagree",
            "nothing-learned",
        ),
    )
)


@rule
def label_out_of_range(view: View, limits: Limits) -> Findings:
    """Labels that are no index of the output's classes."""
    outputs = view.data_rows("output")
    if not view.loss_name.startswith("sparse") or len(outputs) != 1:
        return
    shape = view.schema.data[outputs[0]].shape
    low, high = target_range(view)
    classes = shape[-1] if shape else -1
    if classes < 2 or not np.isfinite(low):
        return
    loss_config = (view.model.get("loss") or {}).get("config") or {}
    # A class to be ignored, such as -1, need not be one of the output.
    ignored = loss_config.get("ignore_class")
    if ignored in (low, high) or (0 <= low and high < classes):
        return
    wrong = high if high >= classes else low
    yield finding(
        view,
        "label-out-of-range",
        "error",
        view.last_layer,
        None,
        what=f"A label is {wrong:.0f}, and the output has {classes} classes, "
        f"numbered from 0 to {classes - 1}",
        evidence={"target_min": low, "target_max": high, "classes": classes},
        cause=(
            "Possible reasons are labels that count from 1, and a last layer "
            "with too few units. "
            if high >= classes
            else "Labels below 0 are no classes; they may mean examples that "
            "are to be left out. "
        )
        + "Under XLA, which `fit` uses by itself on a GPU, the loss of such an "
        "example is NaN; without XLA, a CPU raises an error.",
        remedy=(
            f"Give the last layer {high + 1:.0f} units, or number the labels "
            "from 0: `np.unique(y, return_inverse=True)[1]`."
            if high >= classes
            else "To leave such examples out, pass "
            f"`SparseCategoricalCrossentropy(ignore_class={low:.0f})`; else "
            "number the labels from 0: `np.unique(y, return_inverse=True)[1]`."
        ),
    )


declare(
    Kind(
        name="index-out-of-range",
        rank=16,
        ceiling="error",
        what="An index beyond the last row of an embedding, or below 0.",
        needs="model",
        shown_by=Shown(("data_max",), role="input"),
        cause_rank=7,
        symptoms=("loss-metric-disagree", "nothing-learned"),
    )
)


@rule
def embedding_index_out_of_range(view: View, limits: Limits) -> Findings:
    """Indices beyond the last row of the embedding that reads the input."""
    inputs = view.data_rows("input")
    embedding = _first_embedding(view)
    if len(inputs) != 1 or embedding is None:
        return
    layer, rows = embedding
    low = float(np.nanmin(view.get("data_min")[:, inputs], initial=np.inf))
    high = float(np.nanmax(view.get("data_max")[:, inputs], initial=-np.inf))
    if not np.isfinite(high) or (0 <= low and high < rows):
        return
    wrong = high if high >= rows else low
    yield finding(
        view,
        "index-out-of-range",
        "error",
        layer,
        None,
        what=f"The input has the index {wrong:.0f}, and {code(layer)} has "
        f"{rows} rows, numbered from 0 to {rows - 1}",
        evidence={"input_min": low, "input_max": high, "rows": rows},
        cause=_TOO_LARGE if high >= rows else _BELOW_ZERO,
        remedy=f"Use `Embedding(input_dim={high + 1:.0f}, ...)`, or map rare "
        "words to one index for unknown words."
        if high >= rows
        else "Give what is missing or unknown an index of its own, from 0 to "
        f"{rows - 1}.",
    )


_TOO_LARGE = (
    "The vocabulary is larger than `input_dim`. Under XLA, which `fit` uses by "
    "itself on a GPU, all indices beyond the last row share that row; without "
    "XLA, a CPU raises an error."
)

_BELOW_ZERO = (
    "Indices below 0 may stand for what is missing or unknown. Keras 3 counts "
    "them from the end, as Python does: -1 is the last row, which another "
    "word has, too. Nothing says so, with or without XLA."
)


declare(
    Kind(
        name="rounded-index",
        rank=17,
        ceiling="warning",
        what="Indices of an embedding pass through a dtype of 16 bits, which "
        "rounds large ones to their neighbours.",
        shown_by=Shown(("gradient_norm",)),
        is_note_if_learned=True,
        cause_rank=11,
        symptoms=("nothing-learned",),
    )
)

#: Integers up to which all are numbers of a dtype: 2 to the number of its
#: binary digits, 11 and 8.
_EXACT = {"float16": 2048, "bfloat16": 256}


@rule
def rounded_index(view: View, limits: Limits) -> Findings:
    """Indices that were rounded on their way to a table."""
    for wiring in view.wiring("half_index"):
        dtype, _, rows = wiring.detail.partition(" ")
        exact = _EXACT.get(dtype, 0)
        # Rows count from 0, so the last index is one less than their number.
        if not exact or not rows.isdecimal() or int(rows) <= exact + 1:
            continue
        layer = wiring.name.rpartition("/")[2]
        yield finding(
            view,
            "rounded-index",
            "warning",
            layer,
            None,
            what=f"The indices of {code(layer)}, a table of {rows} rows, were "
            f"{dtype} before, which has every integer only up to {exact}",
            evidence={"rows": int(rows), "exact": exact, "dtype": dtype},
            cause="Under a policy such as `mixed_float16` Keras casts the "
            "inputs of a layer to 16 bits, and so ids that are floats. Larger "
            "ones are rounded, so that neighbours share a row.",
            remedy="Pass ids as integers (`dtype='int32'`), or give the layers "
            'in front of the embedding `dtype="float32"`.',
        )
        return


def _first_embedding(view: View) -> tuple[str, int] | None:
    """Find the embedding right behind the input: its name and its rows."""
    layers = [
        fact
        for fact in view.model.get("layers") or ()
        if fact.get("class") != "InputLayer"
    ]
    if not layers or layers[0].get("class") != "Embedding":
        return None
    rows = (layers[0].get("config") or {}).get("input_dim")
    return (str(layers[0]["name"]), int(rows)) if rows else None
