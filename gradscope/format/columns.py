"""Columns of the record: the names of all statistics, by family."""

from __future__ import annotations

#: Statistics of one trainable variable in one step. Norms are L2 norms. The
#: gradient is the one that the step applied: of all replicas, unscaled, before
#: the optimizer's clipping (`clipped_gradient_norm` is that after clipping, NaN
#: without clipping). The weight is that before the step, and the update is the
#: weight after minus the weight before. `gradient_size` is the number of the
#: gradient's elements; only the rows in a sparse gradient (`IndexedSlices`)
#: count. `gradient_unit_spread` is the relative difference between the
#: gradients of a variable's units, 0 if all are equal; see
#: `measuring.unit_spread`.
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

#: Columns that `variables` has in addition for an optimizer with several
#: learning rates, as Keras's `MultiOptimizer` has one for each of its parts.
RATE_COLUMNS = ("variable_learning_rate",)

#: Numbers of the step as a whole. `learning_rate` is NaN if variables have
#: several. `loss` is the loss in training mode with penalties, if the model is
#: known. The others are counts: `skipped` of the steps that a loss scale
#: skipped because of an overflow since the start of the run, `recorded` of the
#: records that this process wrote up to and including this one, `dropped` of
#: records that it lost, and `histograms_dropped` of steps whose histograms it
#: lost.
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

#: Statistics of one activation in one step; see `measuring.activations`. The
#: fractions of dead and of always-on units are those over a window of examples,
#: and NaN until the window is full.
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

#: Statistics of one layer that drops units or has a state; see
#: `measuring.states`. NaN if a layer has no such number.
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

#: Statistics of one unit, or of a group of neighbouring units in a wide layer:
#: the share of examples since the last map for which the unit was above zero
#: (mean of the group); whether the unit is dead (share of the group); and, of
#: the unit that was zero for longest, the number of examples since it fired and
#: the step in which it last fired, NaN if it never did.
UNIT_COLUMNS = (
    "unit_activity",
    "unit_dead",
    "unit_idle_examples",
    "unit_last_fired",
)

#: In steps in which something is NaN or infinite, the first operation of the
#: forward pass with finite inputs and a non-finite output has 1 if its output
#: has infinities alone and 2 if it has NaN. All other operations have 0. See
#: `measuring.first_nonfinite`.
OPERATION_COLUMNS = ("operation_nonfinite",)

#: Sums of a variable's gradient with random signs, in steps that have
#: histograms. They compare the gradients of two runs; see
#: `measuring.gradient_sketch`.
SKETCH_COLUMNS = tuple(f"gradient_sketch_{index}" for index in range(16))

#: Losses of the same batch in both modes; see `gradscope.probe`.
PROBE_COLUMNS = ("probe_training_loss", "probe_inference_loss")

#: The families that each recorded step has.
FAMILIES = {
    "variables": VARIABLE_COLUMNS,
    "activations": ACTIVATION_COLUMNS,
    "state": STATE_COLUMNS,
    "data": DATA_COLUMNS,
    "run": RUN_COLUMNS,
}

#: The families that only some steps have.
OCCASIONAL = {
    "units": UNIT_COLUMNS,
    "operations": OPERATION_COLUMNS,
    "sketch": SKETCH_COLUMNS,
    "probe": PROBE_COLUMNS,
}
