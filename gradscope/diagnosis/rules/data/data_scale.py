"""Rules about inputs and targets of unusual size.

They need data in the record, which is measured where the model is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.guessing_loss import guessing_loss
from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.spells import largest, median, smallest
from gradscope.diagnosis.wording import code, finding

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View


declare(
    Kind(
        name="unscaled-input",
        rank=210,
        ceiling="warning",
        what="Inputs far larger than 1, or that hardly vary, reach a kernel "
        "unscaled; or a `Rescaling` scales them a second time.",
        needs="model",
        shown_by=Shown(("data_rms",), role="input"),
        limits={
            "rms": Limit(
                20, "rms of the model's input; standardised data have 1"
            ),
            "small": Limit(
                0.01,
                "variation of the model's input, below which it is lost beside "
                "biases and noise; pixels that were divided by 255 twice have "
                "0.001",
            ),
        },
        cause_rank=90,
        symptoms=(
            "dead-relu",
            "saturated-activation",
            "vanishing-gradient",
            "exploding-gradient",
            "loss-diverges",
            "zero-gradient",
            "non-finite",
            "learning-rate",
            "update-too-large",
            "loss-metric-disagree",
        ),
    )
)


@rule
def unscaled_input(view: View, limits: Limits) -> Findings:
    """Inputs of a size far above 1 that go into a kernel unscaled."""
    rows = [r for r in view.data_rows("input") if not is_integer(view, r)]
    variables = view.schema.variables
    if not rows or not variables or view.is_normalised:
        return
    # The sizes of inputs do not reach a kernel behind such layers.
    if "embedding" in variables[0].name.lower() or _rescales(view):
        return
    rms = median(view.get("data_rms")[:, rows], axis=0)
    row = rows[int(np.nanargmax(np.nan_to_num(rms)))]
    size = float(np.nanmax(np.nan_to_num(rms)))
    if size < limits["unscaled-input.rms"]:
        return
    # Harm is where the loss ends, and not how far it fell from a wild start.
    is_guessing = view.last_loss > 0.8 * guessing_loss(view)
    learns = view.loss_fall > 0.5 and not _starts_wild(view) and not is_guessing
    name = view.schema.rows("data")[row]
    yield finding(
        view,
        "unscaled-input",
        "note" if learns else "warning",
        view.layer(view.kernels[0]) if view.kernels else None,
        None,
        what=f"The model's {code(name)} is not scaled: its rms is {size:.3g}, "
        f"with values from {smallest(view.get('data_min')[:, row]):.3g} to "
        f"{largest(view.get('data_max')[:, row]):.3g}",
        evidence={
            "input_rms": size,
            "input_rms_limit": limits["unscaled-input.rms"],
            "loss_fall": view.loss_fall,
        },
        cause="Initializers and learning rates are made for inputs of about "
        "size 1. Larger inputs make the first steps erratic, and columns of "
        "different sizes carry different weight.",
        remedy="Divide pixels by 255 (`keras.layers.Rescaling(1 / 255)`), or "
        "use `keras.layers.Normalization` for numerical columns.",
    )


declare(
    Kind(
        name="unscaled-target",
        rank=220,
        ceiling="warning",
        what="The targets are far larger than the outputs ever become, or one "
        "of several targets is far larger than the others.",
        needs="model",
        shown_by=Shown(("data_rms",), role="target"),
        limits={
            "ratio": Limit(
                30, "rms of the targets divided by that of the first outputs"
            ),
        },
        cause_rank=80,
        symptoms=(
            "dead-relu",
            "exploding-gradient",
            "loss-diverges",
            "non-finite",
            "zero-gradient",
            "learning-rate",
            "update-too-large",
            "vanishing-gradient",
            "loss-metric-disagree",
        ),
    )
)


@rule
def unscaled_target(view: View, limits: Limits) -> Findings:
    """Targets far larger than the outputs with which a network starts."""
    targets, outputs = view.data_rows("target"), view.data_rows("output")
    if len(targets) != 1 or len(outputs) != 1:
        return
    # Targets of a cross-entropy are shares or classes, and have no scale.
    if "crossentropy" in view.loss_name or view.loss_fall > 0.9:
        return
    if _are_class_indices(view, targets[0], outputs[0]):
        return
    size = float(median(view.get("data_rms")[:, targets]))
    first = float(view.get("data_rms")[0, outputs[0]])
    # A median, since the last batch may be an odd one.
    last = float(median(view.get("data_rms")[-5:, outputs]))
    limit = limits["unscaled-target.ratio"]
    # Outputs that have reached the size of the targets have learned it.
    is_reached = 0.5 * size < last < 2 * size
    # Outputs near zero at the start would make any target look large.
    if not size > limit * max(first, 1) or is_reached:
        return
    yield finding(
        view,
        "unscaled-target",
        "warning",
        None,
        None,
        what=f"The targets have an rms of {size:.3g}, but the outputs have an "
        f"rms of {last:.3g} even at the end",
        evidence={
            "target_rms": size,
            "output_rms": last,
            "ratio": size / max(first, 1),
            "ratio_limit": limit,
        },
        cause="A network starts with outputs of about size 1, so its last "
        "weights must become enormous first. With updates of the usual size "
        "this takes very long.",
        remedy="Train on `(y - y.mean()) / y.std()`, and scale the predictions "
        "back with the same mean and standard deviation.",
    )


@rule
def unscaled_target_among_several(view: View, limits: Limits) -> Findings:
    """A target far larger than the others, whose loss outweighs theirs."""
    targets, outputs = view.data_rows("target"), view.data_rows("output")
    if len(targets) != len(outputs) or len(targets) < 2 or not view.count:
        return
    sizes = median(view.get("data_rms")[:, targets], axis=0)
    first = view.get("data_rms")[0, outputs]
    limit = limits["unscaled-target.ratio"]
    worst = int(np.argmax(np.nan_to_num(sizes)))
    # Other targets near zero would make any target look large.
    other_size = float(max(np.delete(sizes, worst).max(), 1))
    if not sizes[worst] > limit * max(float(first[worst]), other_size):
        return
    if _are_class_indices(view, targets[worst], outputs[worst]):
        return
    name = view.schema.rows("data")[targets[worst]]
    yield finding(
        view,
        "unscaled-target",
        "warning",
        None,
        None,
        what=f"{code(name)} has an rms of {sizes[worst]:.3g}, and the other "
        f"targets have at most {other_size:.3g}, so its loss dominates",
        evidence={
            "target_rms": float(sizes[worst]),
            "other_target_rms": other_size,
            "ratio": float(sizes[worst] / other_size),
            "ratio_limit": limit,
        },
        cause="The losses of all outputs are added up. A squared error grows "
        "with the square of its target's size, so the shared layers learn for "
        "this output alone.",
        remedy="Train on `(y - y.mean()) / y.std()` of each target, or balance "
        "the losses with `compile(loss_weights=...)`.",
    )


def target_range(view: View) -> tuple[float, float]:
    """Find the smallest and the largest target; NaN if not known."""
    rows = view.data_rows("target")
    if len(rows) != 1:
        return np.nan, np.nan
    low, high = view.get("data_min")[:, rows], view.get("data_max")[:, rows]
    if not np.isfinite(low).any():
        return np.nan, np.nan
    return smallest(low), largest(high)


def has_integer_targets(view: View) -> bool:
    """Return whether the (first) target has an integer dtype."""
    rows = view.data_rows("target")
    return bool(rows) and is_integer(view, rows[0])


def _are_class_indices(view: View, target: int, output: int) -> bool:
    """Return whether targets are indices of classes, and not quantities.

    They are if they are integers and the loss is not that of a regression, as
    a user's own loss for tokens; or if the output has one more axis and all
    targets are valid indices of that axis.
    """
    if is_integer(view, target) and not view.is_regression:
        return True
    shape, target_shape = (
        view.schema.data[row].shape for row in (output, target)
    )
    if not shape or tuple(target_shape) not in (shape[:-1], (*shape[:-1], 1)):
        return False
    least = smallest(view.get("data_min")[:, target])
    most = largest(view.get("data_max")[:, target])
    return 1 < shape[-1] and 0 <= least and most < shape[-1]


def is_integer(view: View, row: int) -> bool:
    """Return whether a row of data has an integer dtype, as ids do.

    Keras casts integers of images (0..255) to floats, so that these count as
    quantities.
    """
    return dtype_of(view, row).startswith(("int", "uint"))


def dtype_of(view: View, row: int) -> str:
    """Get the name of the dtype of a row of data, as in `"float32"`."""
    return str(getattr(view.schema.data[row], "dtype", "float32"))


def _rescales(view: View) -> bool:
    """Return whether a layer of the model scales or looks up its inputs."""
    return any(
        fact.get("class") in ("Rescaling", "Normalization", "Embedding")
        for fact in view.facts.values()
    )


def _starts_wild(view: View) -> bool:
    """Return whether the first losses were far above the last loss."""
    loss = view.loss[np.isfinite(view.loss)]
    # Beside a last loss near zero any first loss is large; hence the sum.
    return bool(loss.size and median(loss[:50]) > 20 * view.last_loss + 20)
