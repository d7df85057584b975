"""The rules, one theme a module; each registers its own when imported."""

from gradscope.diagnosis.rules import (
    activations,
    data,
    exploding,
    gradients,
    learning_rate,
    loss,
    normalisation,
    outputs,
    regularisation,
    rewritten_sums,
    softmax,
    start,
    updates,
    vanishing,
    vanishing_causes,
    wiring,
)

__all__ = [
    "activations",
    "data",
    "exploding",
    "gradients",
    "learning_rate",
    "loss",
    "normalisation",
    "outputs",
    "regularisation",
    "rewritten_sums",
    "softmax",
    "start",
    "updates",
    "vanishing",
    "vanishing_causes",
    "wiring",
]
