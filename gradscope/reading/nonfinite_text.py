"""Describes a `NonFinite` of `gradscope.reading.nonfinite` in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gradscope.reading.nonfinite import NonFinite

_SUBJECTS = {
    "input": "The input {!r} of the model",
    "target": "The target {!r}",
    "weight": "The weight {}",
    "layer": "The output of {}",
    "activation": "The activation {}",
    "output": "The output {!r} of the model",
    "loss": "The loss",
    "gradient": "The gradient of {}",
    "update": "The update of {}",
}

#: Advice on where to look next, after an overflow and after a NaN.
_REMEDIES = {
    "input": (
        "The network got it from outside, so look at the data: a column that "
        "was divided by a standard deviation of zero, or the log of a zero.",
        "The network got it from outside, so look at the data: missing values "
        "(`np.isnan(x).any(axis=0)` names the columns), or zero divided by "
        "zero where a constant column was normalised.",
    ),
    "target": (
        "It came from outside, so look at the labels: a division by zero, or "
        "the log of a zero.",
        "It came from outside, so look at the labels: missing values are NaN "
        "(`np.isnan(y).any()`).",
    ),
    "layer": (
        "All that went into this operation was finite, so it made it: a "
        "number that is too large for its dtype, a division by zero, or the "
        "log of a zero.",
        "All that went into this operation was finite, so it made it: zero "
        "divided by zero, the log or root of a negative number, or an "
        "infinity minus an infinity inside of it.",
    ),
    "activation": (
        "All that was recorded before it was finite, so numbers grow on their "
        "way through the layers: compare activation_rms from layer to layer, "
        "start from smaller weights, or normalise.",
        "All that was recorded before it was finite, so its own layer made "
        "it: look for a division by zero, the log or root of a number that "
        "can be zero or negative, or an infinity minus an infinity.",
    ),
    "output": (
        "All watched activations were finite, so look at what the last layer "
        "does behind them: an exp of a large number, or a division by zero.",
        "All watched activations were finite, so look at what the last layer "
        "does behind them: a division of zero by zero, or the log or root of "
        "a negative number.",
    ),
    "loss": (
        "All that was recorded before it was finite, so look at the loss "
        "function: the log of a probability that is exactly zero. Give it "
        "logits (`from_logits=True`) and the model no softmax.",
        "All that was recorded before it was finite, so look at the loss "
        "function: zero times the log of zero, labels outside of the classes, "
        "or sample weights that sum to zero.",
    ),
    "gradient": (
        "All that was recorded of the forward pass was finite, so it grew on "
        "its way back: look at the norms of the steps before, lower the "
        "learning rate, or clip with `global_clipnorm=1.0`.",
        "All that was recorded of the forward pass was finite, so the "
        "derivative is not defined: that of a root or a norm at zero, of a "
        "division, or of the side of a `tf.where` that was not chosen.",
    ),
    "update": (
        "The gradient was finite, so the optimizer made it: look at its "
        "learning rate and its schedule, and at an epsilon that is too small "
        "for the dtype.",
        "The gradient was finite, so the optimizer made it: look at its "
        "learning rate and its schedule, at an epsilon of zero, and at slots "
        "that were restored from another run.",
    ),
}


def message(origin: NonFinite) -> str:
    """Describe a `NonFinite` in one paragraph.

    The paragraph gives the row and the step, how numbers moved in the steps
    before, and where to look next.
    """
    sentences = [_subject_sentence(origin), _clean_steps_sentence(origin)]
    if origin.dtype == "float16":
        sentences.append(
            "It is float16, in which everything beyond 65504 is infinite"
            + ("." if origin.is_overflow else ", and two infinities make NaN.")
        )
    sentences += [_trend_sentence(origin), _remedy(origin)]
    return " ".join(sentence for sentence in sentences if sentence)


def _subject_sentence(origin: NonFinite) -> str:
    subject = _SUBJECTS[origin.kind].format(origin.name)
    state = "infinite (an overflow, no NaN)" if origin.is_overflow else "NaN"
    if origin.kind == "layer" and origin.is_overflow:
        state = "infinite (no NaN)"
    if origin.kind in ("input", "target"):
        values = "infinite, none NaN" if origin.is_overflow else "NaN"
        return f"{subject} has values that are {values}, in step {origin.step}."
    verb = "is" if origin.last_clean_step is None else "became"
    return f"{subject} {verb} {state} in step {origin.step}."


def _clean_steps_sentence(origin: NonFinite) -> str:
    last = origin.last_clean_step
    if last is None:
        if origin.exact:
            return "No step was made before it."
        return "No earlier step was recorded, so it may have begun before."
    if origin.exact:
        return f"In step {last}, right before, all was finite."
    text = (
        f"All was finite in step {last}; the steps between were not recorded, "
        f"so it began after step {last} and not after step {origin.step}."
    )
    if origin.weights_were_finite:
        text += f" All weights were still finite before step {origin.step}."
    return text


def _trend_sentence(origin: NonFinite) -> str:
    """Describe how numbers moved in the steps before."""
    statistics = dict.fromkeys([next(iter(origin.before)), *_WORDS])
    trends = [_trend(name, origin.before.get(name)) for name in statistics]
    trends = [trend for trend in trends if trend is not None]
    if not trends:
        return ""
    first, last = origin.steps_before[[0, -1]]
    *most, final = trends
    text = f"{', '.join(most)} and {final}" if most else final
    return f"From step {first} to step {last}, {text}."


_WORDS = {
    "global_gradient_norm": "the global gradient norm",
    "loss": "the loss",
    "learning_rate": "the learning rate",
}


def _trend(statistic: str, values: np.ndarray | None) -> str | None:
    """Describe how a statistic moved; None with fewer than two finite ones."""
    if values is None:
        return None
    finite = values[np.isfinite(values)]
    if len(finite) < 2:
        return None
    first, last = float(finite[0]), float(finite[-1])
    name = _WORDS.get(statistic, f"its {statistic}")
    if abs(last - first) <= 0.1 * abs(first):
        return f"{name} stayed near {last:.3g}"
    verb = "rose" if last > first else "fell"
    return f"{name} {verb} from {first:.3g} to {last:.3g}"


def _remedy(origin: NonFinite) -> str:
    if origin.kind != "weight":
        following = _REMEDIES[origin.kind][0 if origin.is_overflow else 1]
        if origin.kind == "gradient" and not origin.loss_is_known:
            following += (
                " The loss was not recorded, and may have been the first: it "
                "is where gradscope knows the model (`model=`)."
            )
        return following
    if origin.last_clean_step is None:
        return (
            "Weights that are not finite before the first recorded step come "
            "from their initializer, from a file that was loaded, or from "
            "steps that were not recorded."
        )
    if origin.exact:
        return (
            "The step before did not make it, so something besides the "
            "optimizer has set the weight: a callback, a constraint, or "
            "`load_weights`."
        )
    return (
        "So the harm was done in a step that was not recorded: train again "
        "with `every=1`, and what was first is told."
    )
