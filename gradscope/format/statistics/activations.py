"""Statistics of activations and of their units: `activations` and `units`.

The family `activations` has a row for each activation in one step; see
`measuring.activations`. The fractions of dead and of always-on units are those
over a window of examples, and NaN until the window is full.

The family `units` has a row for each unit, or group of neighbouring units in a
wide layer, and only in some steps.
"""

from __future__ import annotations

from gradscope.format.statistics.statistic import (
    Drawing,
    Line,
    Statistic,
    declare,
)

declare(
    Statistic(
        name="dead_fraction",
        family="activations",
        column=0,
        meaning="share of the units that were zero for every example of a "
        "window",
        unit="share",
        formula="share of units that were 0 for every example of a window "
        "(1000 examples of recorded steps; `window=`)",
        healthy="near 0",
        reveals="units that no gradient reaches any more: a learning rate that "
        "was too high, biases far below zero",
        # Counted over steps, see `recording.unit_history`.
        is_derived=True,
        drawing=Drawing(
            group="Units",
            place=30,
            label="dead units",
            scale="linear",
            domain=(0, 1),
            ends=("none", "all"),
            absent="No unit of this run can be dead, or too few examples were "
            "observed so far.",
            line=Line("shares", 1),
        ),
    )
)

declare(
    Statistic(
        name="always_on_fraction",
        family="activations",
        column=1,
        meaning="share of the units that were above zero for every example of "
        "a window",
        unit="share",
        healthy="below 1",
        reveals="with all units dead or always on, the layer is constant or "
        "linear",
        is_derived=True,
        drawing=Drawing(
            group="Units",
            place=40,
            label="always on",
            scale="linear",
            domain=(0, 1),
            ends=("none", "all"),
            absent="No unit of this run can be always on, or too few examples "
            "were observed so far.",
            line=Line("shares", 4),
        ),
    )
)

declare(
    Statistic(
        name="zero_fraction",
        family="activations",
        column=2,
        meaning="share of the activation's outputs that are exactly zero",
        unit="share",
        healthy="about half for a ReLU",
        reveals="nothing by itself: compare with `dead_fraction`",
        drawing=Drawing(
            group="Activations",
            place=10,
            label="zero outputs",
            scale="linear",
            domain=(0, 1),
            ends=("none", "all"),
            line=Line("shares", 2),
        ),
    )
)

declare(
    Statistic(
        name="saturated_fraction",
        family="activations",
        column=3,
        meaning="share of the outputs where the slope of the function is below "
        "5 % of its maximum",
        unit="share",
        healthy="near 0 for hidden layers",
        reveals="sigmoids and tanhs at their ends, where the gradient is lost",
        drawing=Drawing(
            group="Activations",
            place=20,
            label="saturated",
            scale="linear",
            domain=(0, 1),
            ends=("none", "all"),
            absent="No activation here can saturate.",
            line=Line("shares", 3),
        ),
    )
)

declare(
    Statistic(
        name="activation_mean",
        family="activations",
        column=4,
        meaning="mean of the activation's outputs",
        unit="output",
        healthy="alike in all layers",
        reveals="outputs that drift to one side on their way forward",
        drawing=Drawing(
            group="Activations",
            place=50,
            label="activation mean",
            scale="linear",
            domain=(-1, 1),
            ends=("negative", "positive"),
        ),
    )
)

declare(
    Statistic(
        name="activation_rms",
        family="activations",
        column=5,
        meaning="root mean square of the activation's outputs",
        unit="output",
        healthy="alike in all layers",
        reveals="values that fade or explode on their way forward",
        of_replicas="rms",
        drawing=Drawing(
            group="Activations",
            place=30,
            label="activation rms",
            scale="log",
            domain=(1e-5, 1e3),
            line=Line("outputs", 1),
        ),
    )
)

declare(
    Statistic(
        name="activation_max",
        family="activations",
        column=6,
        meaning="largest magnitude among the activation's outputs",
        unit="output",
        healthy="alike in all layers",
        reveals="few outputs that dominate",
        of_replicas="max",
        drawing=Drawing(
            group="Activations",
            place=40,
            label="largest activation",
            scale="log",
            domain=(1e-5, 1e3),
            line=Line("outputs", 2),
        ),
    )
)

declare(
    Statistic(
        name="activation_nonfinite",
        family="activations",
        column=7,
        meaning="number of the activation's outputs that are NaN or infinite",
        unit="outputs",
        healthy="0",
        reveals="values that become NaN or infinite on their way forward",
        of_replicas="sum",
        drawing=Drawing(
            group="Activations",
            place=60,
            label="non-finite outputs",
            scale="linear",
            # A single one is as bad as many.
            domain=(0, 1),
            ends=("none", "one or more"),
        ),
    )
)

_NO_MAP = "No unit was observed for a whole window of examples yet."

declare(
    Statistic(
        name="unit_activity",
        family="units",
        column=0,
        meaning="share of the examples since the previous column for which the "
        "unit was above zero; black if it was zero for a whole window",
        unit="share",
        formula="share of examples for which the unit was above 0 since the "
        "last column (the mean of a group)",
        healthy="spread between 0 and 1",
        reveals="which units are dead, since when, and whether they revive",
        drawing=Drawing(
            group="Units",
            place=10,
            label="activity",
            # A share of a thousandth is another thing than none.
            scale="log",
            domain=(1e-3, 1),
            ends=("almost never", "always above zero"),
            absent=_NO_MAP,
            marks_dead=True,
        ),
    )
)

declare(
    Statistic(
        name="unit_dead",
        family="units",
        column=1,
        meaning="1 where the unit is dead, the share of a group",
        unit="share",
        healthy="0",
        reveals="the dead units of `dead_fraction`, one by one",
    )
)

declare(
    Statistic(
        name="unit_idle_examples",
        family="units",
        column=2,
        meaning="number of examples since the unit was last above zero",
        unit="examples",
        formula="examples since it was above 0; of a group, of the unit that "
        "was zero for longest",
        healthy="few",
        reveals="a unit that dies, before it is dead for a whole window",
        drawing=Drawing(
            group="Units",
            place=20,
            label="silence",
            scale="log",
            domain=(10, 1e6),
            ends=("just fired", "silent for long"),
            absent=_NO_MAP,
        ),
    )
)

declare(
    Statistic(
        name="unit_last_fired",
        family="units",
        column=3,
        meaning="last step in which a unit was above zero, NaN if it never was",
        unit="step",
        healthy="the last one",
        reveals="when a unit died",
    )
)
