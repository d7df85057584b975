"""Rules about operations that are connected in a way that is hardly meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.wording import code, finding

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View


@rule
def activation_twice(view: View, limits: Limits) -> Findings:
    """Outputs of a softmax or sigmoid that the loss takes for logits."""
    for wiring in view.wiring("activation_twice"):
        layer, _, kind = wiring.name.rpartition("/")
        is_softmax = "Softmax" in wiring.detail
        kind = "softmax" if is_softmax else "sigmoid"
        yield finding(
            view,
            "output-range",
            "warning",
            layer or wiring.name,
            None,
            what=f"The loss applies a {kind} to the outputs of "
            f"{code(layer or wiring.name)}, which has already applied a {kind}",
            evidence={"operation": wiring.detail},
            cause="The loss expects logits, which range from minus to plus "
            "infinity. Values from 0 to 1 are nearly the same to it, so the "
            "loss cannot become small"
            + (" (with ten classes, not below 1.46)" if is_softmax else "")
            + " and the gradients are small.",
            remedy="Remove the activation of the last layer, and keep the "
            "loss. Apply the activation to predictions only.",
        )


@rule
def relu_logits(view: View, limits: Limits) -> Findings:
    """Logits that come from a ReLU, and so are never negative.

    Where the outputs of the model are known, `relu_output` reports this, with
    the share of zeros.
    """
    is_reported = any(output.kind == "relu" for _, output in view.outputs)
    for wiring in () if is_reported else view.wiring("relu_logits")[:1]:
        layer = wiring.name.rpartition("/")[0] or wiring.name
        yield finding(
            view,
            "relu-output",
            "warning",
            layer,
            None,
            what=f"The logits of the loss come from a ReLU ({code(layer)}), "
            "so they are never negative",
            evidence={"operation": wiring.detail},
            cause="An unlikely class needs a negative logit. And where a ReLU "
            "is zero, its slope is zero as well, so such a logit gets no "
            "gradient and no example can raise it again.",
            remedy="Remove the activation of the last layer.",
        )


@rule
def broadcast(view: View, limits: Limits) -> Findings:
    """Predictions `[N, 1]` minus targets `[N]`, which broadcast to `[N, N]`."""
    for wiring in view.wiring("broadcast")[:1]:
        yield finding(
            view,
            "loss-metric-disagree",
            "warning",
            view.layer(view.kernels[-1]) if view.kernels else None,
            None,
            what="The loss compares each prediction with the targets of all "
            f"examples: the shapes {wiring.detail} broadcast to a table in "
            f"{code(wiring.name)}",
            evidence={"shapes": wiring.detail, "operation": wiring.name},
            cause="One of them has an extra axis. TensorFlow broadcasts both "
            "to N times N without an error, and the best prediction is then "
            "the same for all examples: the mean.",
            remedy="Give both the same shape: `y = y[:, tf.newaxis]`, or "
            "`tf.squeeze(prediction, axis=-1)`.",
        )
