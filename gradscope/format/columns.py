"""Columns of the record: every number that is recorded, by family."""

from __future__ import annotations

#: Statistics of one trainable variable in one step. Norms are L2 norms, of
#: the gradient that the step applied (of all replicas, unscaled, before the
#: optimizer's clipping; `clipped_gradient_norm` after it, NaN where it is
#: off), of the weight before the step, and of the update (weight after minus
#: weight before). `gradient_size` is the number of the gradient's elements: of
#: a sparse one (`IndexedSlices`) only the rows that it has count.
#: `gradient_unit_spread` says how much the gradients of a variable's units
#: differ, 0 where all units get the same; see `measuring.unit_spread`.
VARIABLE_COLUMNS = (
    "gradient_norm",
    "gradient_rms",
    "gradient_max",
    "gradient_zero_fraction",
    "gradient_size",
    "gradient_nonfinite",
    "gradient_unit_spread",
    "clipped_gradient_norm",
    "weight_norm",
    "weight_rms",
    "update_norm",
    "gradient_to_weight_ratio",
    "update_to_weight_ratio",
    "gradient_missing",
)

#: What `variables` has behind these where an optimizer has several learning
#: rates, as Keras's `MultiOptimizer` one for each of its parts.
RATE_COLUMNS = ("variable_learning_rate",)

#: Numbers of the whole step. `learning_rate` is NaN where variables have
#: several. `loss` is that of training mode, with penalties, where the model is
#: known. `skipped` counts the steps that a loss scale skipped for their
#: overflow since the run was started, `recorded` the records that this process
#: wrote up to and including this one, `dropped` those that it lost, and
#: `histograms_dropped` the steps whose histograms it lost.
RUN_COLUMNS = (
    "learning_rate",
    "global_gradient_norm",
    "global_clipped_norm",
    "loss",
    "loss_scale",
    "skipped",
    "recorded",
    "dropped",
    "histograms_dropped",
)

#: Statistics of one activation in one step; see `measuring.activations`.
#: Units are dead or always on over a window of examples, and NaN until so many
#: were seen; the others are those of the step.
ACTIVATION_COLUMNS = (
    "dead_fraction",
    "always_on_fraction",
    "zero_fraction",
    "saturated_fraction",
    "activation_mean",
    "activation_rms",
    "activation_max",
    "activation_nonfinite",
)

#: Statistics of one layer with a state, or that drops units; see
#: `measuring.states`. NaN where a layer has no such thing.
STATE_COLUMNS = (
    "dropout_rate",
    "dropped_fraction",
    "mean_distance",
    "variance_distance",
    "state_movement",
    "training_mode",
)

#: Statistics of the model's inputs, outputs and targets in one step; see
#: `measuring.data`. `data_variation` is NaN for a batch of one example.
DATA_COLUMNS = (
    "data_mean",
    "data_rms",
    "data_variation",
    "data_min",
    "data_max",
    "data_nonfinite",
)

#: A unit, or a group of neighbours in a wide layer: the share of examples for
#: which it was above zero since the last map (mean of the group), whether it
#: is dead (share of the group), and of the one that was zero for longest the
#: examples since it fired and the step in which it did, NaN if it never did.
UNIT_COLUMNS = (
    "unit_activity",
    "unit_dead",
    "unit_idle_examples",
    "unit_last_fired",
)

#: In steps in which something is NaN or infinite: of the operation of the
#: forward pass that made it from what was finite 1 if it made infinities alone
#: and 2 if it made NaN, of the others 0; see `measuring.origin`.
OPERATION_COLUMNS = ("operation_nonfinite",)

#: Sums with signs by chance of a variable's gradient, in steps that have
#: histograms: two runs' gradients are compared by them, see `measuring.sketch`.
SKETCH_COLUMNS = tuple(f"gradient_sketch_{index}" for index in range(16))

#: Losses of one and the same batch; see `gradscope.probe`.
PROBE_COLUMNS = ("probe_training_loss", "probe_inference_loss")

#: What each recorded step has.
FAMILIES = {
    "variables": VARIABLE_COLUMNS,
    "activations": ACTIVATION_COLUMNS,
    "state": STATE_COLUMNS,
    "data": DATA_COLUMNS,
    "run": RUN_COLUMNS,
}

#: What only some steps have.
OCCASIONAL = {
    "units": UNIT_COLUMNS,
    "operations": OPERATION_COLUMNS,
    "sketch": SKETCH_COLUMNS,
    "probe": PROBE_COLUMNS,
}
