"""Rules about the padding of sequences of tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
        name="unmasked-padding",
        rank=64,
        ceiling="warning",
        what="Most tokens are 0, which is most likely the padding, and no mask "
        "tells the layers so; or a layer loses the mask; or an input for the "
        "mask is 1 for these, too.",
        needs="model; targets or a recurrent layer, or an input for the mask",
        shown_by=Shown(("data_zero_fraction", "data_mean"), role="input"),
        is_note_if_learned=True,
        limits={
            "share": Limit(
                0.5, "share of the input's tokens that are 0, the padding"
            ),
            "lost": Limit(0.2, "the same share, where a layer loses the mask"),
            "denied": Limit(
                0.2,
                "the same share, where an input for the mask is 1 everywhere",
            ),
            "frequent": Limit(
                10,
                "how often the token 0 occurs there, as a multiple of what "
                "tokens that are all as frequent would",
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


@rule
def mask_of_ones(view: View, limits: Limits) -> Findings:
    """A mask among the inputs that is 1 for all tokens, the padding too."""
    tokens = _padded_tokens(view, limits)
    if tokens is None:
        return
    shape = view.schema.data[tokens].shape
    masks = [
        row
        for row in view.data_rows("input")
        if row != tokens and view.schema.data[row].shape == shape
    ]
    low, high = view.get("data_min")[:, masks], view.get("data_max")[:, masks]
    is_one = (low == 1).all(axis=0) & (high == 1).all(axis=0)
    if not is_one.any():
        return
    mask = view.schema.rows("data")[masks[int(is_one.argmax())]]
    share = float(median(view.get("data_zero_fraction")[:, tokens]))
    yield finding(
        view,
        "unmasked-padding",
        "warning",
        None,
        None,
        what=f"{percent(share)} of the tokens are 0, which is most likely the "
        f"padding, and {code(mask)}, an input of the same shape, is 1 for all "
        "tokens of all examples",
        evidence={
            "zeros": share,
            "zeros_limit": limits["unmasked-padding.denied"],
        },
        cause="If that input is the mask, it says that nothing is padding: "
        "attention then attends to the padding, and averages include it. What "
        "the model says of a text depends on how far its batch was padded.",
        remedy="Make the mask from the tokens: `mask = tokens != 0`.",
    )


def _padded_tokens(view: View, limits: Limits) -> int | None:
    """Find the only input of integers, if an embedding's and mostly padded."""
    inputs = view.data_rows("input")
    rows = [r for r in inputs if is_integer(view, r)]
    words = [
        (fact.get("config") or {}).get("input_dim") or 0
        for fact in view.facts.values()
        if fact.get("class") == "Embedding"
    ]
    if len(inputs) < 2 or len(rows) != 1 or not words:
        return None
    share = float(median(view.get("data_zero_fraction")[:, rows[0]]))
    # Of an alphabet of four letters, each is a quarter of a text.
    multiple = share * max(words)
    is_padded = (
        share > limits["unmasked-padding.denied"]
        and multiple > limits["unmasked-padding.frequent"]
    )
    return rows[0] if is_padded else None


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
    "of the padding: it may look small while the words are hardly learned.",
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
