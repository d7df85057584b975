"""Statistics of one variable's gradient in one step: family `variables`.

The gradient, g, is the one that the step applied: of all replicas, unscaled,
before the optimizer's clipping. Norms are L2 norms. Of a sparse gradient
(`IndexedSlices`) only its own rows count.
"""

from __future__ import annotations

from gradscope.format.statistics.statistic import (
    Drawing,
    Line,
    OfLayer,
    Statistic,
    declare,
)

_FLOW = ("vanishing", "exploding")

declare(
    Statistic(
        name="gradient_norm",
        family="variables",
        column=0,
        meaning="L2 norm of the gradient that the step applied, before "
        "clipping",
        unit="gradient",
        formula="‖g‖",
        healthy="layers within a factor of about 10 of each other; the height "
        "alone says little",
        reveals="fading towards the input: *vanishing* gradient; growing over "
        "steps: *exploding* gradient",
        needs_gradient=True,
        of_layer=OfLayer("norm"),
        drawing=Drawing(
            group="Gradients",
            place=10,
            label="gradient norm",
            scale="log",
            domain=(1e-8, 10),
            ends=_FLOW,
            line=Line("norms", 1),
        ),
    )
)

declare(
    Statistic(
        name="gradient_rms",
        family="variables",
        column=1,
        meaning="root mean square of the gradient's elements",
        unit="gradient",
        formula="‖g‖ / √n",
        healthy="alike in all layers, small and large",
        reveals="the same as `gradient_norm`",
        is_derived=True,
        needs_gradient=True,
        of_layer=OfLayer("rms", ("gradient_norm",)),
        drawing=Drawing(
            group="Gradients",
            place=20,
            label="gradient rms",
            scale="log",
            domain=(1e-9, 1),
            ends=_FLOW,
        ),
    )
)

declare(
    Statistic(
        name="gradient_max",
        family="variables",
        column=2,
        meaning="largest magnitude among the gradient's elements",
        unit="gradient",
        formula="max \\|g\\|",
        healthy="within some ten times the rms",
        reveals="few examples or units that dominate; whether a clipping by "
        "value acts",
        needs_gradient=True,
        of_layer=OfLayer("largest"),
        drawing=Drawing(
            group="Gradients",
            place=30,
            label="largest gradient",
            scale="log",
            domain=(1e-8, 10),
            ends=_FLOW,
        ),
    )
)

declare(
    Statistic(
        name="gradient_zero_fraction",
        family="variables",
        column=3,
        meaning="share of the gradient's elements that are exactly zero",
        unit="share",
        healthy="well below 1",
        reveals="1 in every step: the layer does not learn (zero weights, dead "
        "units)",
        is_derived=True,
        needs_gradient=True,
        of_layer=OfLayer("mean"),
        drawing=Drawing(
            group="Gradients",
            place=40,
            label="zero fraction",
            scale="linear",
            domain=(0, 1),
            ends=("none", "all"),
        ),
    )
)

declare(
    Statistic(
        name="gradient_unit_spread",
        family="variables",
        column=6,
        meaning="distance of the gradients of a kernel's units from their "
        "mean, relative to the gradients; at 0 all units of the layer "
        "stay identical",
        unit="ratio",
        formula="‖g - mean of g over its units‖ / ‖g‖, of the first 8 units "
        "(the last axis)",
        healthy="above .8",
        reveals="0: all units get the same gradient and stay one and the same, "
        "for their weights began alike",
        needs_gradient=True,
        # Symmetry in one kernel is not healed by another one.
        of_layer=OfLayer("smallest", is_exact=False),
        drawing=Drawing(
            group="Gradients",
            place=50,
            label="difference between units",
            scale="linear",
            domain=(0, 1),
            ends=("all alike", "all differ"),
            absent="No gradient here has several units.",
        ),
    )
)

declare(
    Statistic(
        name="gradient_size",
        family="variables",
        column=4,
        meaning="number of the gradient's elements; for an embedding, those of "
        "the rows in use",
        unit="elements",
        formula="n of g",
        healthy="constant, but for embeddings",
        reveals="how many rows of an embedding a batch uses",
        needs_gradient=True,
        of_layer=OfLayer("sum"),
        drawing=Drawing(
            group="Gradients",
            place=60,
            label="gradient size",
            scale="log",
            domain=(1, 1e8),
        ),
    )
)

declare(
    Statistic(
        name="gradient_nonfinite",
        family="variables",
        column=5,
        meaning="number of the gradient's elements that are NaN or infinite",
        unit="elements",
        healthy="0",
        reveals="where an overflow starts",
        needs_gradient=True,
        of_layer=OfLayer("sum"),
        drawing=Drawing(
            group="Gradients",
            place=70,
            label="non-finite",
            scale="linear",
            # The scale ends at 1: a single non-finite element must be seen.
            domain=(0, 1),
            ends=("none", "one or more"),
        ),
    )
)

declare(
    Statistic(
        name="clipped_gradient_norm",
        family="variables",
        column=7,
        meaning="L2 norm of the gradient after the optimizer's own clipping",
        unit="gradient",
        formula="‖clip(g)‖",
        healthy="near ‖g‖ in most steps",
        reveals="far below ‖g‖ in every step: the clipping sets the learning "
        "rate",
        needs_gradient=True,
        of_layer=OfLayer("norm"),
        drawing=Drawing(
            group="Weights and updates",
            place=30,
            label="clipped gradient",
            scale="log",
            domain=(1e-8, 10),
            ends=_FLOW,
            absent="The optimizer of this run does not clip.",
            line=Line("norms", 4),
        ),
    )
)

declare(
    Statistic(
        name="gradient_missing",
        family="variables",
        column=13,
        meaning="1 where the optimizer got no gradient",
        unit="flag",
        formula="1 where the optimizer got None",
        healthy="0",
        reveals="a variable that no gradient reaches",
        of_layer=OfLayer("all"),
    )
)
