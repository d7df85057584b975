"""All rules, one theme a module; importing a module registers its rules."""

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
