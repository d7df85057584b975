"""Description of a `NonFinite` of `gradscope.reading.nonfinite` in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gradscope.reading.nonfinite import NonFinite

_SUBJECTS = {
    "input": "The input `{}` of the model",
    "target": "The target `{}`",
    "weight": "The weight `{}`",
    "layer": "The output of `{}`",
    "activation": "The activation `{}`",
    "output": "The output `{}` of the model",
    "loss": "The loss",
    "gradient": "The gradient of `{}`",
    "update": "The update of `{}`",
}

#: Advice on where to look next, after an overflow and after a NaN.
_REMEDIES = {
    "input": (
        "It comes from the data. Look for a column that was divided by a "
        "standard deviation of zero, or for the log of zero.",
        "It comes from the data. Look for missing values "
        "(`np.isnan(x).any(axis=0)` shows the columns), or for zero divided "
        "by zero where a constant column was normalised.",
    ),
    "target": (
        "It comes from the labels. Look for a division by zero, or for the "
        "log of zero.",
        "It comes from the labels. Look for missing values, which are NaN "
        "(`np.isnan(y).any()`).",
    ),
    "layer": (
        "The operations checked before it and the weights that are trained "
        "here were finite. So the origin is this operation, one that feeds it "
        "and was not checked, or a weight that this optimizer does not train. "
        "If those weights are finite, look for a number that is too large for "
        "its dtype, a division by zero, or the log of zero.",
        "The operations checked before it and the weights that are trained "
        "here were finite. So the origin is this operation, one that feeds it "
        "and was not checked, or a weight that this optimizer does not train. "
        "If those weights are finite, look for zero divided by zero, zero "
        "times infinity, an infinity minus an infinity, or the log or root of "
        "a negative number.",
    ),
    "activation": (
        "Everything recorded before it was finite, so numbers grow from layer "
        "to layer. Compare `activation_rms` of the layers, start from smaller "
        "weights, or normalise.",
        "Everything recorded before it was finite, so its own layer is the "
        "origin. Look for a division by zero, the log or root of a number "
        "that can be zero or negative, or an infinity minus an infinity.",
    ),
    "output": (
        "All recorded activations were finite. Look at what the last layer "
        "does after them: the exp of a large number, or a division by zero.",
        "All recorded activations were finite. Look at what the last layer "
        "does after them: zero divided by zero, or the log or root of a "
        "negative number.",
    ),
    "loss": (
        "Everything recorded before it was finite. Look at the loss function: "
        "numbers too large for its dtype (float16 ends at 65504), a division "
        "by zero, or the log of a probability that is exactly zero. In the "
        "last case give it logits (`from_logits=True`), and remove the softmax "
        "of the model.",
        "Everything recorded before it was finite. Look at the loss function: "
        "zero times the log of zero, labels outside the range of the classes, "
        "or sample weights that sum to zero.",
    ),
    "gradient": (
        "All recorded values of the forward pass were finite, so the gradient "
        "overflowed during backpropagation. Look at the norms of the steps "
        "before, lower the learning rate, or clip with "
        "`global_clipnorm=1.0`.",
        "All recorded values of the forward pass were finite, so a derivative "
        "is undefined: that of a root or a norm at zero, of a division, or of "
        "the branch of a `tf.where` that was not selected.",
    ),
    "update": (
        "The gradient was finite, so the optimizer is the origin. Look at its "
        "learning rate and its schedule, and for an epsilon that is too small "
        "for the dtype.",
        "The gradient was finite, so the optimizer is the origin. Look at its "
        "learning rate and its schedule, for an epsilon of zero, and for slots "
        "that overflowed or were restored from another run.",
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
            "Its dtype is float16, in which numbers above 65504 are infinite"
            + (
                "."
                if origin.is_overflow
                else ", and two infinities can make NaN."
            )
        )
    sentences += [_trend_sentence(origin), _remedy(origin)]
    return " ".join(sentence for sentence in sentences if sentence)


def headline(origin: NonFinite) -> str:
    """Describe a `NonFinite` in one line, for a list of runs.

    The line tells the state of the loss, since when, and where it began.
    """
    if origin.lost_loss is not None:
        since, value = origin.lost_loss
        state = "infinite" if np.isinf(value) else "NaN"
        text = f"loss is {state} since step {since}"
    else:
        state = "infinity" if origin.is_overflow else "NaN"
        text = f"{state} {'since' if origin.lasts else 'in'} step {origin.step}"
    if origin.kind == "loss":
        return text
    if origin.kind == "layer":
        name, _, operation = str(origin.name).partition(" (")
        place = f"at `{name}`" + (f" ({operation}" if operation else "")
    else:
        subject = _SUBJECTS[origin.kind].format(origin.name)
        place = f"in {subject[0].lower()}{subject[1:]}"
    return f"{text}, first {place}"


def _subject_sentence(origin: NonFinite) -> str:
    subject = _SUBJECTS[origin.kind].format(origin.name)
    state = "infinite (an overflow, no NaN)" if origin.is_overflow else "NaN"
    if origin.kind == "layer" and origin.is_overflow:
        state = "infinite (no NaN)"
    if origin.kind in ("input", "target"):
        values = "infinite (no NaN)" if origin.is_overflow else "NaN"
        return f"{subject} has values that are {values} in step {origin.step}."
    # Where steps before it were not recorded, it may have begun in those.
    has_begun = origin.exact and origin.last_clean_step is not None
    verb = "became" if has_begun else "is"
    return f"{subject} {verb} {state} in step {origin.step}."


def _clean_steps_sentence(origin: NonFinite) -> str:
    last = origin.last_clean_step
    if last is None:
        if origin.exact:
            return "No step came before it."
        return "No earlier step was recorded, so it may have begun earlier."
    if origin.exact:
        return f"In step {last}, right before, everything recorded was finite."
    text = (
        f"Everything was finite in step {last}. The steps between were not "
        f"recorded, so it began after step {last} and no later than step "
        f"{origin.step}."
    )
    if origin.weights_were_finite:
        text += f" All weights were still finite before step {origin.step}."
    return text


def _trend_sentence(origin: NonFinite) -> str:
    """Describe how numbers moved in the steps before."""
    # The statistic of the place itself comes first, which may be the loss, and
    # then is not repeated.
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
    low, high = float(finite.min()), float(finite.max())
    if high - low <= 0.1 * abs(first):
        return f"{name} stayed near {last:.3g}"
    # The ends say little about values that go up and down between them.
    beyond = max(min(first, last) - low, high - max(first, last))
    if beyond > 0.5 * abs(last - first):
        return f"{name} varied between {low:.3g} and {high:.3g}"
    verb = "rose" if last > first else "fell"
    return f"{name} {verb} from {first:.3g} to {last:.3g}"


def _remedy(origin: NonFinite) -> str:
    if origin.kind != "weight":
        following = _REMEDIES[origin.kind][0 if origin.is_overflow else 1]
        if origin.kind == "gradient" and not origin.loss_is_known:
            following += (
                " The loss is not known, and may have been the first. It is "
                "known in `fit`, and not in a loop that computes it itself."
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
            "The step before is not the origin, so something other than the "
            "optimizer set the weight: a callback, a constraint, or "
            "`load_weights`."
        )
    return (
        "So it began in a step that was not recorded. Train again with "
        "`every=1` to learn what was first."
    )
