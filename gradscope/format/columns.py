"""Columns of the record: the names of all statistics, by family.

They follow from the declarations in `format.statistics`, which also say what
each family holds. Whoever needs declarations takes them from here, where
they are complete.
"""

from __future__ import annotations

from gradscope.format.statistics import (  # noqa: F401 (they declare)
    activations,
    data,
    gradients,
    states,
    undrawn,
    weights,
)
from gradscope.format.statistics.statistic import STATISTICS as STATISTICS
from gradscope.format.statistics.statistic import by_place as by_place
from gradscope.format.statistics.statistic import column_names
from gradscope.format.statistics.statistic import (
    measured_names as measured_names,
)

#: Statistics of one trainable variable in one step.
VARIABLE_COLUMNS = column_names("variables")

#: Columns that `variables` has in addition for an optimizer with several
#: learning rates, as Keras's `MultiOptimizer` has one for each of its parts.
RATE_COLUMNS = column_names("variables", conditional=True)

#: Numbers of the step as a whole.
RUN_COLUMNS = column_names("run")

#: Statistics of one activation in one step.
ACTIVATION_COLUMNS = column_names("activations")

#: Statistics of one layer that drops units or has a state.
STATE_COLUMNS = column_names("state")

#: Statistics of the model's inputs, outputs and targets in one step.
DATA_COLUMNS = column_names("data")

#: Statistics of one unit, or of a group of neighbouring units in a wide layer.
UNIT_COLUMNS = column_names("units")

#: Where in the forward pass NaN or infinity began.
OPERATION_COLUMNS = column_names("operations")

#: Sums of a variable's gradient with random signs.
SKETCH_COLUMNS = column_names("sketch")

#: Losses of the same batch in both modes; see `gradscope.probe`.
PROBE_COLUMNS = column_names("probe")

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
