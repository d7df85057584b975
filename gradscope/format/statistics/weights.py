"""Statistics of one variable's weights and update: family `variables`.

The weight, w, is that before the step, and the update is the weight after minus
the weight before.
"""

from __future__ import annotations

from gradscope.format.statistics.statistic import (
    Band,
    Drawing,
    Line,
    OfLayer,
    Statistic,
    declare,
)

declare(
    Statistic(
        name="update_to_weight_ratio",
        family="variables",
        column=12,
        meaning="norm of the update divided by the norm of the weights; "
        "usually about 1e-3",
        unit="ratio",
        formula="‖Δw‖ / ‖w‖",
        healthy="about 0.001",
        reveals="0.000001: hardly learns; 0.1: each step overwrites the layer, "
        "the learning rate is too high",
        is_derived=True,
        of_layer=OfLayer("ratio", ("update_norm", "weight_norm")),
        drawing=Drawing(
            group="Weights and updates",
            place=10,
            label="update : weight",
            scale="log",
            domain=(1e-6, 1),
            ends=("hardly learns", "overwrites itself"),
            center=1e-3,
            # Half a decade around what is usual.
            line=Line("ratios", 1, Band(3e-4, 3e-3, "usual about 1e-3")),
        ),
    )
)

declare(
    Statistic(
        name="gradient_to_weight_ratio",
        family="variables",
        column=11,
        meaning="gradient norm over weight norm",
        unit="ratio",
        formula="‖g‖ / ‖w‖",
        healthy="alike in all layers",
        reveals="layers that want another learning rate",
        is_derived=True,
        needs_gradient=True,
        of_layer=OfLayer("ratio", ("gradient_norm", "weight_norm")),
        drawing=Drawing(
            group="Weights and updates",
            place=20,
            label="gradient : weight",
            scale="log",
            domain=(1e-8, 10),
            ends=("vanishing", "exploding"),
            line=Line("ratios", 2),
        ),
    )
)

declare(
    Statistic(
        name="variable_learning_rate",
        family="variables",
        column=0,
        meaning="learning rate of the part of the optimizer that updates the "
        "variable",
        unit="rate",
        healthy="as you meant it",
        reveals="only of an optimizer with several rates (`MultiOptimizer`, "
        "`Muon` with `adam_lr_ratio`): which part updates which layer, and how "
        "fast",
        is_conditional=True,
        of_layer=OfLayer("largest", is_exact=False),
        drawing=Drawing(
            group="Weights and updates",
            place=40,
            label="learning rate",
            scale="log",
            domain=(1e-6, 1),
        ),
    )
)

declare(
    Statistic(
        name="update_norm",
        family="variables",
        column=10,
        meaning="L2 norm of the update: the weights after the step minus "
        "before it",
        unit="weight",
        formula="‖Δw‖",
        healthy="fades as training converges",
        reveals="how far the step really went",
        of_layer=OfLayer("norm"),
        drawing=Drawing(
            group="Weights and updates",
            place=50,
            label="update norm",
            scale="log",
            domain=(1e-8, 10),
            line=Line("norms", 3),
        ),
    )
)

declare(
    Statistic(
        name="weight_norm",
        family="variables",
        column=8,
        meaning="L2 norm of the weights before the step",
        unit="weight",
        formula="‖w‖",
        healthy="moves slowly",
        reveals="an initialisation that is too small or too large; weights "
        "that run away",
        of_layer=OfLayer("norm"),
        drawing=Drawing(
            group="Weights and updates",
            place=60,
            label="weight norm",
            scale="log",
            domain=(1e-3, 1e3),
            line=Line("norms", 2),
        ),
    )
)

declare(
    Statistic(
        name="weight_rms",
        family="variables",
        column=9,
        meaning="root mean square of the weights before the step",
        unit="weight",
        formula="‖w‖ / √n",
        healthy="moves slowly",
        reveals="the same as `weight_norm`, alike in layers of any size",
        is_derived=True,
        of_layer=OfLayer("rms", ("weight_norm",)),
        drawing=Drawing(
            group="Weights and updates",
            place=70,
            label="weight rms",
            scale="log",
            domain=(1e-5, 10),
        ),
    )
)
