"""Statistics of one layer that drops units or has a state: the family `state`.

NaN if a layer has no such number; see `measuring.states`.
"""

from __future__ import annotations

from gradscope.format.statistics.statistic import (
    Drawing,
    Line,
    Statistic,
    declare,
)

_NO_DROPOUT = "This run has no dropout."
_NO_MOVING = "This run has no batch normalization or similar layer."
_MOVING = ("batch_norm", "state")

declare(
    Statistic(
        name="dropout_rate",
        family="state",
        column=0,
        meaning="share of the inputs that the layer should drop",
        unit="share",
        healthy=".1 to .5",
        reveals="`Dropout(0.7)` where 70 % were to be kept",
        drawing=Drawing(
            group="Dropout and batch norm",
            place=20,
            label="dropout rate",
            scale="linear",
            domain=(0, 1),
            ends=("keeps all", "drops all"),
            absent=_NO_DROPOUT,
            only_of=("dropout",),
        ),
    )
)

declare(
    Statistic(
        name="dropped_fraction",
        family="state",
        column=1,
        meaning="share of the inputs that the layer dropped in this step; 0 if "
        "dropout was off",
        unit="share",
        healthy="near `dropout_rate`",
        reveals="0: the layer ran in inference mode",
        drawing=Drawing(
            group="Dropout and batch norm",
            place=10,
            label="dropped share",
            scale="linear",
            domain=(0, 1),
            ends=("kept all", "dropped all"),
            absent=_NO_DROPOUT,
            only_of=("dropout",),
            line=Line("state", 1),
        ),
    )
)

declare(
    Statistic(
        name="mean_distance",
        family="state",
        column=2,
        meaning="distance of the batch mean from the moving mean, in standard "
        "deviations",
        unit="ratio",
        formula="batch mean minus moving mean, in standard deviations (rms "
        "over channels, the noise of small batches taken out)",
        healthy="below .3 after 3 / (1 - momentum) steps",
        reveals="moving statistics that lag behind the weights: inference is "
        "another network than training",
        drawing=Drawing(
            group="Dropout and batch norm",
            place=30,
            label="mean distance",
            scale="linear",
            domain=(0, 1),
            ends=("as in inference", "far from it"),
            absent=_NO_MOVING,
            only_of=_MOVING,
            line=Line("state", 2),
        ),
    )
)

declare(
    Statistic(
        name="variance_distance",
        family="state",
        column=3,
        meaning="distance of the batch variance from the moving variance: "
        "logarithm of their ratio; 0.7 is a factor of 2",
        unit="ratio",
        formula="\\|ln\\| of batch variance over moving variance, as above",
        healthy="below .5",
        reveals="the same as `mean_distance`",
        drawing=Drawing(
            group="Dropout and batch norm",
            place=40,
            label="variance distance",
            scale="linear",
            domain=(0, 2),
            ends=("as in inference", "far from it"),
            absent=_NO_MOVING,
            only_of=_MOVING,
            line=Line("state", 3),
        ),
    )
)

declare(
    Statistic(
        name="state_movement",
        family="state",
        column=4,
        meaning="distance of the moving statistics from their initial values, "
        "in standard deviations",
        unit="ratio",
        formula="distance the moving mean has travelled since the start, in "
        "standard deviations; of other states relative to their norm",
        healthy="moves, unless it is frozen",
        reveals="statistics that are never updated",
        # Needs the first recorded step, see `recording.state_movement`.
        is_derived=True,
        drawing=Drawing(
            group="Dropout and batch norm",
            place=50,
            label="state movement",
            scale="log",
            domain=(1e-3, 10),
            ends=("as at the start", "far from it"),
            absent=_NO_MOVING,
            only_of=_MOVING,
            line=Line("state", 4),
        ),
    )
)

declare(
    Statistic(
        name="training_mode",
        family="state",
        column=5,
        meaning="1 if the layer used the statistics of the batch, 0 if the "
        "moving ones",
        unit="flag",
        healthy="1",
        reveals="a `training=` that was forgotten, a frozen layer",
        drawing=Drawing(
            group="Dropout and batch norm",
            place=60,
            label="training mode",
            scale="linear",
            domain=(0, 1),
            ends=("moving statistics", "batch statistics"),
            absent=_NO_MOVING,
            only_of=_MOVING,
        ),
    )
)
