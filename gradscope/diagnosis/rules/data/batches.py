"""Rules about batches that are no fair sample of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gradscope.diagnosis.guessing_loss import chance
from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.spells import median
from gradscope.diagnosis.wording import finding, percent

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View

declare(
    Kind(
        name="unshuffled-data",
        rank=62,
        ceiling="warning",
        what="The targets of batches differ far more than chance allows, and "
        "those of consecutive batches are alike: the data are hardly shuffled.",
        needs="model; targets",
        shown_by=Shown(("data_mean",), role="target"),
        is_note_if_learned=True,
        limits={
            "excess": Limit(
                5,
                "variance of the batches' mean targets, divided by that of "
                "random samples of the same size; those have 1",
            ),
            "order": Limit(
                0.7,
                "correlation of the mean targets of consecutive batches; "
                "random samples have 0",
            ),
        },
        symptoms=("nothing-learned", "loss-metric-disagree"),
        cause_rank=52,
    )
)


@rule
def unshuffled_data(view: View, limits: Limits) -> Findings:
    """Mean targets that drift from batch to batch, as those of sorted data.

    The mean of n random examples varies by their variance over n.
    """
    rows = view.data_rows("target")
    if len(rows) != 1 or not chance(view) > 0 or not _has_classes(view):
        return  # of series, neighbours may be alike, and other targets drift
    mean = view.get("data_mean")[:, rows[0]].astype(float)
    variation = view.get("data_variation")[:, rows[0]].astype(float)
    examples = view.get("data_examples")[:, rows[0]].astype(float)
    # Only batches of steps in a row are neighbours.
    follows = np.diff(view.steps) == 1
    # Records of before do not know how many examples a batch had.
    is_known = np.isfinite(mean) & (examples > 0)
    if follows.sum() < 30 or not is_known.all():
        return
    total = float(np.nanmean(variation**2) + np.var(mean))
    expected = total / float(np.nanmean(examples))
    excess = float(np.var(mean)) / expected if expected > 0 else np.nan
    before, after = mean[:-1][follows], mean[1:][follows]
    order = _correlation(before, after)
    if not excess > limits["unshuffled-data.excess"]:
        return
    if not order > limits["unshuffled-data.order"]:
        return
    yield finding(
        view,
        "unshuffled-data",
        "note" if view.loss_fall > 0.9 else "warning",
        None,
        None,
        what=f"The mean targets of batches vary {excess:.2g} times as much as "
        "those of random samples would, and consecutive batches are alike "
        f"(a correlation of {order:.2g})",
        evidence={
            "excess": excess,
            "excess_limit": limits["unshuffled-data.excess"],
            "order": order,
            "order_limit": limits["unshuffled-data.order"],
        },
        cause="The data are in an order, as that of their classes, and are not "
        "shuffled, or by a buffer that is much smaller than the data "
        "(`shuffle(100)` of thousands). Each step then pulls the network to "
        "the classes of its batch, and the next ones pull it elsewhere.",
        remedy="Shuffle all examples once before they are batched: "
        "`order = np.random.permutation(len(x))`, or "
        "`dataset.shuffle(len(x))` before `batch` and `repeat`.",
    )


def _has_classes(view: View) -> bool:
    """Return whether the targets are classes, and no numbers that may drift.

    The targets of a regression that are computed by a network (as in
    Q-learning) drift with it, even in random batches.
    """
    if view.is_regression:
        return False
    target = view.schema.data[view.data_rows("target")[0]]
    is_integer = "int" in target.dtype or target.dtype == "bool"
    return is_integer or "crossentropy" in view.loss_name


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    if not np.ptp(a) > 0 or not np.ptp(b) > 0:
        return np.nan
    return float(np.corrcoef(a, b)[0, 1])


declare(
    Kind(
        name="unmasked-padding",
        rank=64,
        ceiling="warning",
        what="Most tokens are padding, and no mask tells the layers so.",
        needs="model; targets or a recurrent layer",
        shown_by=Shown(("data_zero_fraction", "data_mean"), role="input"),
        is_note_if_learned=True,
        limits={
            "share": Limit(
                0.5, "share of the input's tokens that are 0, the padding"
            ),
        },
        cause_rank=54,
        symptoms=("nothing-learned", "vanishing-gradient"),
    )
)

#: Layers that read padding as tokens if there is no mask.
_READERS = (
    "LSTM",
    "GRU",
    "SimpleRNN",
    "Bidirectional",
    "RNN",
    "GlobalAveragePooling1D",
)

#: Losses of Keras, which count all positions unless a mask or weights say
#: otherwise.
_LOSSES_OF_EACH_POSITION = (
    "sparsecategoricalcrossentropy",
    "categoricalcrossentropy",
    "binarycrossentropy",
    "categoricalfocalcrossentropy",
    "binaryfocalcrossentropy",
    "meansquarederror",
    "meanabsoluteerror",
    "mse",
    "mae",
    "huber",
    "logcosh",
    "poisson",
    "kldivergence",
)


@rule
def unmasked_padding(view: View, limits: Limits) -> Findings:
    """Sequences of tokens that are mostly padding, behind no mask."""
    inputs, targets = view.data_rows("input"), view.data_rows("target")
    embedding = _unmasked_embedding(view)
    if len(inputs) != 1 or len(targets) != 1 or embedding is None:
        return
    zeros = view.get("data_zero_fraction")
    share = float(median(zeros[:, inputs[0]]))
    of_targets = float(median(zeros[:, targets[0]]))
    limit = limits["unmasked-padding.share"]
    shape, target_shape = (
        view.schema.data[row].shape for row in (inputs[0], targets[0])
    )
    if not share > limit or len(shape) != 1:
        return
    is_tagged = target_shape[:1] == shape[:1] and of_targets > limit
    counts_all = is_tagged and _loss_counts_all_positions(view)
    reads = any(f.get("class") in _READERS for f in view.facts.values())
    # A loss of one's own may leave the padding out.
    if not (counts_all or reads):
        return
    # Where only the end of a sequence is asked for, padding may be bridged.
    is_harmful = counts_all or (
        not is_tagged and view.loss_fall < limits["learned.fall"]
    )
    if counts_all:
        cause, remedy = _COUNTS
    else:
        cause, remedy = _MAY_BE_LEFT_OUT if is_tagged else _SINGLE_ANSWER
    yield finding(
        view,
        "unmasked-padding",
        "warning" if is_harmful else "note",
        str(embedding.get("name")),
        None,
        what=f"{percent(share)} of the tokens are 0, which is most likely the "
        "padding, and no layer masks them"
        + (f"; so are {percent(of_targets)} of the targets" * is_tagged)
        + (", and the loss counts them like the others" * counts_all),
        evidence={
            "zeros": share,
            "zeros_limit": limit,
            "zeros_of_targets": of_targets,
        },
        cause=cause,
        remedy=remedy,
    )


def _unmasked_embedding(view: View) -> dict[str, Any] | None:
    """Get the facts of the first embedding; None without, or with a mask."""
    for fact in view.facts.values():
        config = fact.get("config") or {}
        if config.get("mask_zero") or fact.get("class") == "Masking":
            return None
    embedding = next(
        (f for f in view.facts.values() if f.get("class") == "Embedding"), {}
    )
    # Records of before do not know of masks.
    knows_masks = "mask_zero" in (embedding.get("config") or {})
    return embedding if knows_masks else None


def _loss_counts_all_positions(view: View) -> bool:
    """Return whether the loss counts the positions of the padding, too."""
    loss = view.model.get("loss")
    config = (loss.get("config") if isinstance(loss, dict) else None) or {}
    return (
        view.loss_name in _LOSSES_OF_EACH_POSITION
        and config.get("ignore_class") is None
    )


#: Cause and remedy where the padding counts in the loss, where the record does
#: not tell whether it does, and where no target belongs to a position.
_COUNTS = (
    "Without a mask a recurrent layer reads the padding as words, "
    "pooling averages over it, and a loss for each position is mostly that "
    "of the padding: it looks small while the words are hardly learned.",
    "Use `Embedding(..., mask_zero=True)`, which also leaves the "
    "padding out of the loss, or pass sample weights of 0 for it.",
)
_MAY_BE_LEFT_OUT = (
    "Without a mask a recurrent layer reads the padding as words, and "
    "pooling averages over it. Whether the loss leaves the padding out, "
    "the record does not tell.",
    "Check that the loss leaves the padding out, and that its mean is "
    "over the words alone.",
)
_SINGLE_ANSWER = (
    "Without a mask a recurrent layer reads the padding as words, and pooling "
    "averages over it.",
    "Use `Embedding(..., mask_zero=True)`: the layers after it then leave the "
    "padding out.",
)
