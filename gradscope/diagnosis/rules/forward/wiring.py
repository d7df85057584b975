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
            # Logits of 1 for the right class and 0 for the nine others cost
            # log(1 + 9 / e).
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
            cause="Without negative logits a sigmoid never says less than 0.5, "
            "and a softmax rules a class out only by large logits of others. "
            "And where a ReLU is zero, its slope is zero as well, so a logit "
            "gets no gradient from the examples for which it is zero.",
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
            _layer_of_single_units(view),
            None,
            what="Each example is compared with all examples: the shapes "
            f"{wiring.detail} broadcast to a table in {code(wiring.name)}",
            evidence={"shapes": wiring.detail, "operation": wiring.name},
            cause="One of them has an extra axis. TensorFlow broadcasts both "
            "to N times N without an error. If the loss is a squared error of "
            "this table, the best prediction is the same for all examples: the "
            "mean.",
            remedy="Give both the same shape: `y = y[:, tf.newaxis]`, or "
            "`tf.squeeze(prediction, axis=-1)`.",
        )


def _layer_of_single_units(view: View) -> str | None:
    """Get the only layer with a single unit, which makes numbers `[N, 1]`.

    A network without or with several of them does not tell which it is.
    """
    rows = [
        row for row in view.kernels if view.schema.variables[row].shape[-1] == 1
    ]
    return view.layer(rows[0]) if len(rows) == 1 else None
