"""Rules about operations put together as hardly anybody means it."""

from __future__ import annotations

from gradscope.diagnosis.registry import rule
from gradscope.diagnosis.wording import finding


@rule
def activation_twice(view, limits):
    """A softmax or sigmoid whose output the loss takes for logits."""
    for one in view.wiring("activation_twice"):
        layer, _, kind = one.name.rpartition("/")
        softmax = "Softmax" in one.detail
        kind = "softmax" if softmax else "sigmoid"
        yield finding(
            view,
            "output-range",
            "warning",
            layer or one.name,
            None,
            what=f"The loss applies a {kind} to what {layer or one.name} has "
            f"put through a {kind} already",
            evidence={"operation": one.detail},
            cause="The loss takes its input for logits, which go from minus to "
            "plus infinity; those from 0 to 1 are nearly the same for it, so "
            "the loss cannot become small"
            + (" (with ten classes not below 1.46)" if softmax else "")
            + " and gradients are small.",
            remedy="Leave the activation of the last layer out, and keep the "
            "loss; apply the activation to predictions only.",
        )


@rule
def relu_logits(view, limits):
    """Logits that come from a ReLU, where the model is not known; where it is,
    `relu_output` tells how many are zero."""
    known = any(one.kind == "relu" for _, one in view.outputs)
    for one in () if known else view.wiring("relu_logits")[:1]:
        layer = one.name.rpartition("/")[0] or one.name
        yield finding(
            view,
            "relu-output",
            "warning",
            layer,
            None,
            what=f"The logits of the loss come from a ReLU ({layer}): they are "
            "never below zero",
            evidence={"operation": one.detail},
            cause="A class that is to be unlikely needs a negative logit; and "
            "where a ReLU is zero its slope is zero, so that such a logit gets "
            "no gradient, and no example can pull it up again.",
            remedy="Leave the activation of the last layer out.",
        )


@rule
def broadcast(view, limits):
    """Predictions `[N, 1]` minus targets `[N]`, which is a table."""
    for one in view.wiring("broadcast")[:1]:
        yield finding(
            view,
            "loss-metric-disagree",
            "warning",
            view.layer(view.kernels[-1]) if view.kernels else None,
            None,
            what=f"The loss compares each prediction with the targets of all "
            f"examples: shapes {one.detail} make a table, in {one.name}",
            evidence={"shapes": one.detail, "operation": one.name},
            cause="One of them has an axis more. TensorFlow then repeats both "
            "to N times N, without an error, and the best prediction is the "
            "same for all examples: the mean.",
            remedy="Give both one shape: `y = y[:, tf.newaxis]`, or "
            "`tf.squeeze(prediction, axis=-1)`.",
        )
