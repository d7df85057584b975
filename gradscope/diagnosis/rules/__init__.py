"""All rules, in the order of a step; importing a module registers its rules."""

from gradscope.diagnosis.rules.backward import (
    after_nan,
    exploding,
    gradients,
    vanishing,
    vanishing_causes,
)
from gradscope.diagnosis.rules.data import (
    data_sizes,
    input_variation,
    label_variation,
    out_of_range,
)
from gradscope.diagnosis.rules.forward import (
    activations,
    batch_norms,
    inference_mode,
    normalisation,
    normalisation_batches,
    normalisation_modes,
    wiring,
)
from gradscope.diagnosis.rules.results import (
    bounded_logits,
    learned,
    loss,
    metrics,
    outputs,
    softmax,
)
from gradscope.diagnosis.rules.setup import (
    initial_sizes,
    initial_values,
    trainable,
    untrained,
)
from gradscope.diagnosis.rules.steps import (
    changed_weights,
    learning_rate,
    regularisation,
    rewritten_sums,
    skipped,
    step_sizes,
    updates,
)

__all__ = [
    "activations",
    "after_nan",
    "batch_norms",
    "bounded_logits",
    "changed_weights",
    "data_sizes",
    "exploding",
    "gradients",
    "inference_mode",
    "initial_sizes",
    "initial_values",
    "input_variation",
    "label_variation",
    "learned",
    "learning_rate",
    "loss",
    "metrics",
    "normalisation",
    "normalisation_batches",
    "normalisation_modes",
    "out_of_range",
    "outputs",
    "regularisation",
    "rewritten_sums",
    "skipped",
    "softmax",
    "step_sizes",
    "trainable",
    "untrained",
    "updates",
    "vanishing",
    "vanishing_causes",
    "wiring",
]
