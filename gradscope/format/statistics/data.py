"""Statistics of the model's inputs, outputs and targets: the family `data`.

They are those of one step, of the first 262,144 numbers of the batch; see
`measuring.data`.
"""

from __future__ import annotations

from gradscope.format.statistics.statistic import Drawing, Statistic, declare

declare(
    Statistic(
        name="data_mean",
        family="data",
        column=0,
        meaning="mean of all elements; for inputs usually about 0",
        unit="data",
        formula="mean of x",
        healthy="of inputs about 0",
        reveals="inputs that are not centred",
        drawing=Drawing(
            group="Data",
            place=20,
            label="data mean",
            scale="linear",
            domain=(-3, 3),
            ends=("negative", "positive"),
            center=0,
        ),
    )
)

declare(
    Statistic(
        name="data_rms",
        family="data",
        column=1,
        meaning="root mean square; networks learn best from inputs whose rms "
        "is about 1",
        unit="data",
        formula="root mean square of x",
        healthy="of inputs about 1",
        reveals="inputs that are not scaled",
        of_replicas="rms",
        drawing=Drawing(
            group="Data",
            place=10,
            label="data rms",
            scale="log",
            domain=(1e-3, 1e3),
            ends=("tiny", "huge"),
            center=1,
        ),
    )
)

declare(
    Statistic(
        name="data_variation",
        family="data",
        column=2,
        meaning="how much the examples of the batch differ: root mean square "
        "of their deviations from their mean",
        unit="data",
        formula="rms of x - mean of x over the batch",
        healthy="near the rms of x; of outputs as large as that of the targets",
        reveals="0: the network answers the same to every example, or all "
        "labels are alike",
        of_replicas="rms",
        drawing=Drawing(
            group="Data",
            place=30,
            label="variation",
            scale="log",
            domain=(1e-3, 1e3),
            ends=("all alike", "far apart"),
            absent="A batch of one example has no variation.",
        ),
    )
)

declare(
    Statistic(
        name="data_min",
        family="data",
        column=3,
        meaning="smallest element",
        unit="data",
        formula="min of x",
        healthy="of targets within the range of the outputs",
        reveals="missing values written as numbers (-1, 999), targets out of "
        "the output's range",
        of_replicas="min",
        drawing=Drawing(
            group="Data",
            place=40,
            label="smallest",
            scale="linear",
            domain=(-3, 3),
            ends=("negative", "positive"),
            center=0,
        ),
    )
)

declare(
    Statistic(
        name="data_max",
        family="data",
        column=4,
        meaning="largest element",
        unit="data",
        formula="max of x",
        healthy="of targets within the range of the outputs",
        reveals="the same as `data_min`",
        of_replicas="max",
        drawing=Drawing(
            group="Data",
            place=50,
            label="largest",
            scale="linear",
            domain=(-3, 3),
            ends=("negative", "positive"),
            center=0,
        ),
    )
)

declare(
    Statistic(
        name="data_nonfinite",
        family="data",
        column=5,
        meaning="share of the elements that are NaN or infinite",
        unit="share",
        healthy="0",
        reveals="missing values",
        drawing=Drawing(
            group="Data",
            place=60,
            label="non-finite data",
            scale="linear",
            # The scale ends so early that one element in a million is seen.
            domain=(0, 1e-6),
            ends=("none", "some"),
        ),
    )
)

declare(
    Statistic(
        name="data_zero_fraction",
        family="data",
        column=6,
        meaning="share of the elements that are exactly 0, as the padding of "
        "sequences",
        unit="share",
        healthy="of padded sequences below a half",
        reveals="padding that outweighs the data, inputs that were lost",
    )
)

declare(
    Statistic(
        name="data_examples",
        family="data",
        column=7,
        meaning="number of the batch's examples that are measured",
        unit="examples",
        healthy="the batch size",
        reveals="whether means of batches differ by chance",
        of_replicas="sum",
    )
)
