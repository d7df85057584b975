"""Rules about the model's outputs, inputs and targets; these need a model."""

from __future__ import annotations

import numpy as np

from gradscope.diagnosis.about import finding, percent
from gradscope.diagnosis.registry import rule
from gradscope.diagnosis.spells import median

#: What the output can be, by its activation.
_RANGES = {
    "sigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "relu": (0.0, np.inf),
    "relu6": (0.0, 6.0),
    "softplus": (0.0, np.inf),
}

_CURES = {
    "sigmoid": "a linear output for numbers, a softmax for classes",
    "softmax": "a linear output for numbers",
    "tanh": "a linear output, or targets scaled to between -1 and 1",
    "relu": "a linear output: `Dense(1)` without an activation",
}


@rule
def relu_output(view, limits):
    """A network that ends with a ReLU: it cannot go below zero, and where it
    is zero it does not learn."""
    for row, one in view.outputs:
        if one.kind not in ("relu", "relu6"):
            continue
        low, _ = _target_range(view)
        zeros = view.get("zero_fraction")[:, row].astype(float)
        late = float(median(zeros[-max(5, view.count // 5) :]))
        classes = "crossentropy" in view.loss_name
        dead = late > 0.99
        if not (classes or dead or low < 0):
            continue
        layer = view.layer_of(one)
        yield finding(
            view,
            "relu-output",
            "error" if dead else "warning",
            layer,
            None,
            what=f"The network ends with a ReLU ({layer}): its output is zero "
            f"for {percent(late)} of the values, and never below",
            evidence={"zero_fraction": late, "target_min": low},
            cause="Where a ReLU is zero its slope is zero: such outputs get no "
            "gradient, and no example can pull them up again.",
            remedy="Leave the activation of the last layer out, or use a "
            "softmax (classes) or a sigmoid (yes or no).",
        )


@rule
def output_range(view, limits):
    """Targets that the output cannot reach, or a loss that takes others."""
    low, high = _target_range(view)
    if view.loss_name.startswith("sparse") or not np.isfinite(low):
        yield from _raw_output(view)
        return
    for _, one in view.outputs:
        least, most = _RANGES.get(one.kind, (-np.inf, np.inf))
        if one.kind.startswith("relu") and low < 0:
            continue  # `relu-output` says so
        if one.kind == "softmax" and high > 1 and _is_integer(view):
            continue  # labels of a sparse loss of the user's own
        outside = max(least - low, high - most, 0)
        width = max(high - low, 1e-12)
        if outside / width <= limits["output-range.share"]:
            continue
        layer = view.layer_of(one)
        yield finding(
            view,
            "output-range",
            "warning",
            layer,
            None,
            what=f"The targets go from {low:.3g} to {high:.3g}; the output of "
            f"{layer} ({one.kind}) only from {least:.3g} to {most:.3g}",
            evidence={
                "target_min": low,
                "target_max": high,
                "outside_share": outside / width,
                "outside_share_limit": limits["output-range.share"],
            },
            cause="The last activation cannot give what it is asked for: the "
            "best that the network can do is to sit at the end of its range.",
            remedy=f"Use {_CURES.get(one.kind, 'a linear output')}.",
        )
        return
    yield from _raw_output(view)


def _raw_output(view):
    """Finds outputs that are no probabilities, where the loss wants some."""
    if "crossentropy" not in view.loss_name or view.loss_takes_logits:
        return
    rows = view.data("output")
    if len(rows) != 1:
        return
    least = float(np.nanmin(view.get("data_min")[:, rows], initial=np.inf))
    most = float(np.nanmax(view.get("data_max")[:, rows], initial=-np.inf))
    if least > -0.01 and most < 1.01:
        return
    if any(one.kind in ("softmax", "sigmoid") for _, one in view.outputs):
        return
    yield finding(
        view,
        "output-range",
        "warning",
        view.schema.layers[-1] if view.schema.layers else None,
        None,
        what=f"The loss wants probabilities, and the outputs go from "
        f"{least:.3g} to {most:.3g}",
        evidence={"output_min": least, "output_max": most},
        cause="There is no softmax or sigmoid at the end, and the loss was not "
        "told (`from_logits`): it cuts off what is below 0 and above 1, and "
        "with it the gradient.",
        remedy="Set `from_logits=True` in the loss, or give the last layer "
        '`activation="softmax"` (`"sigmoid"` for a single unit).',
    )


@rule
def unscaled_input(view, limits):
    """Inputs far from mean 0 and size 1, that go straight into a kernel."""
    rows = [r for r in view.data("input") if not _is_whole(view, r)]
    variables = view.schema.variables
    if not rows or not variables or view.is_normalised:
        return
    if "embedding" in variables[0].name.lower() or _rescales(view):
        return
    rms = median(view.get("data_rms")[:, rows], axis=0)
    row = rows[int(np.nanargmax(np.nan_to_num(rms)))]
    size = float(np.nanmax(np.nan_to_num(rms)))
    if size < limits["unscaled-input.rms"]:
        return
    learns = view.fall > 0.5 and not _is_wild(view)
    name = view.schema.rows("data")[row]
    yield finding(
        view,
        "unscaled-input",
        "note" if learns else "warning",
        view.layer(view.kernels[0]) if view.kernels else None,
        None,
        what=f"The network's {name} has a size (rms) of {size:.3g}, with "
        f"values from {np.nanmin(view.get('data_min')[:, row]):.3g} to "
        f"{np.nanmax(view.get('data_max')[:, row]):.3g}",
        evidence={
            "input_rms": size,
            "input_rms_limit": limits["unscaled-input.rms"],
            "loss_fall": view.fall,
        },
        cause="Initializers and learning rates are made for inputs of about "
        "size 1. Larger ones make the first steps wild, and columns of "
        "different sizes count differently.",
        remedy="Divide pixels by 255 (`keras.layers.Rescaling(1 / 255)`), or "
        "use `keras.layers.Normalization` for columns of numbers.",
    )


@rule
def unscaled_target(view, limits):
    """Targets in thousands for a network that starts at one."""
    targets, outputs = view.data("target"), view.data("output")
    if len(targets) != 1 or len(outputs) != 1:
        return
    if "crossentropy" in view.loss_name or view.fall > 0.9:
        return
    size = float(median(view.get("data_rms")[:, targets]))
    first = float(view.get("data_rms")[0, outputs[0]])
    last = float(median(view.get("data_rms")[-5:, outputs]))
    limit = limits["unscaled-target.ratio"]
    reached = 0.5 * size < last < 2 * size
    if not size > limit * max(first, 1) or reached:
        return
    yield finding(
        view,
        "unscaled-target",
        "warning",
        None,
        None,
        what=f"The targets have a size (rms) of {size:.3g}, the outputs of "
        f"{last:.3g}, even at the end",
        evidence={
            "target_rms": size,
            "output_rms": last,
            "ratio": size / max(first, 1),
            "ratio_limit": limit,
        },
        cause="A network starts with outputs of about size 1, and has to make "
        "its last weights enormous first; with steps of usual size that "
        "takes very long.",
        remedy="Train on `(y - y.mean()) / y.std()`, and turn predictions back "
        "with the same numbers.",
    )


@rule
def constant_labels(view, limits):
    """Targets that are the same for every example."""
    rows = view.data("target")
    if len(rows) != 1 or view.count < 5:
        return
    row = rows[0]
    spread = view.get("data_variation")[:, row]
    mean = view.get("data_mean")[:, row]
    if not np.isfinite(mean).any():
        return
    has_batches = np.isfinite(spread).any()
    steady = np.nanmax(mean) - np.nanmin(mean) <= 1e-6 * np.nanmax(abs(mean))
    if has_batches:
        steady = steady and np.nanmax(spread) <= 1e-6 * max(
            np.nanmax(abs(mean)), 1e-6
        )
    else:
        low, high = _target_range(view)
        steady = steady and low == high
    if not steady:
        return
    yield finding(
        view,
        "constant-labels",
        "error",
        None,
        None,
        what=f"All examples have the same target (mean {np.nanmean(mean):.3g})",
        evidence={"target_mean": float(np.nanmean(mean)), "variation": 0.0},
        cause="There is nothing to tell apart: the labels were lost on their "
        "way, as by a wrong column, a cast to integers, or data sorted by "
        "class of which only the first part is used.",
        remedy="Look at `np.unique(y, return_counts=True)` right before `fit`.",
    )


def _target_range(view) -> tuple[float, float]:
    """Returns the smallest and the largest target, NaN if not known."""
    rows = view.data("target")
    if len(rows) != 1:
        return np.nan, np.nan
    low, high = view.get("data_min")[:, rows], view.get("data_max")[:, rows]
    if not np.isfinite(low).any():
        return np.nan, np.nan
    return float(np.nanmin(low)), float(np.nanmax(high))


def _is_integer(view) -> bool:
    rows = view.data("target")
    return bool(rows) and _dtype(view, rows[0]).startswith(("int", "uint"))


def _is_whole(view, row: int) -> bool:
    """Returns whether an input is made of integers: ids, not sizes. Keras
    casts images of integers to floats, so 0..255 is none."""
    return _dtype(view, row).startswith(("int", "uint"))


def _dtype(view, row: int) -> str:
    return str(getattr(view.schema.data[row], "dtype", "float32"))


def _rescales(view) -> bool:
    return any(
        fact.get("class") in ("Rescaling", "Normalization", "Embedding")
        for fact in view.facts.values()
    )


def _is_wild(view) -> bool:
    """Returns whether the loss rises far above its start on the way."""
    loss = view.loss[np.isfinite(view.loss)]
    return bool(loss.size and median(loss[:50]) > 20 * view.last_loss + 20)
