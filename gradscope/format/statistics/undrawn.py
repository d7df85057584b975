"""Statistics that the page does not draw: those of a step as a whole (`run`),
and `operations`, `sketch` and `probe`, which only some steps have."""

from __future__ import annotations

from gradscope.format.statistics.statistic import Statistic, declare

declare(
    Statistic(
        name="learning_rate",
        family="run",
        column=0,
        meaning="learning rate of the step, NaN if variables have several",
        unit="rate",
        healthy="as you meant it",
        reveals="a schedule that ends too early",
    )
)

declare(
    Statistic(
        name="global_gradient_norm",
        family="run",
        column=1,
        meaning="L2 norm of all gradients as one vector",
        unit="gradient",
        healthy="moves slowly",
        reveals="the step in which a training goes wrong",
    )
)

declare(
    Statistic(
        name="global_clipped_norm",
        family="run",
        column=2,
        meaning="L2 norm of all gradients as one vector after the optimizer's "
        "own clipping, NaN without",
        unit="gradient",
        healthy="near `global_gradient_norm` in most steps",
        reveals="far below it in every step: the clipping sets the learning "
        "rate",
    )
)

declare(
    Statistic(
        name="loss",
        family="run",
        column=3,
        meaning="loss of the batch in training mode, with penalties, if the "
        "model is known",
        unit="loss",
        healthy="falls",
        reveals="a training that does not learn, or diverges",
    )
)

declare(
    Statistic(
        name="loss_scale",
        family="run",
        column=4,
        meaning="factor by which the optimizer scales the loss, NaN without",
        unit="ratio",
        healthy="rises to a plateau",
        reveals="gradients that overflow in half precision",
    )
)

declare(
    Statistic(
        name="skipped",
        family="run",
        column=5,
        meaning="steps that a loss scale skipped because of an overflow, since "
        "the start of the run",
        unit="steps",
        healthy="a few at the start",
        reveals="a learning rate or a loss scale that is too high",
    )
)

declare(
    Statistic(
        name="recorded",
        family="run",
        column=6,
        meaning="records that this process wrote, up to and including this one",
        unit="records",
    )
)

declare(
    Statistic(
        name="dropped",
        family="run",
        column=7,
        meaning="records that this process lost",
        unit="records",
        healthy="0",
        reveals="a disk that is full or too slow, or threads that "
        "make steps of one number",
    )
)

declare(
    Statistic(
        name="histograms_dropped",
        family="run",
        column=8,
        meaning="steps whose histograms this process lost",
        unit="steps",
        healthy="0",
        reveals="the same as `dropped`",
    )
)

declare(
    Statistic(
        name="operation_nonfinite",
        family="operations",
        column=0,
        meaning="in a step with NaN or infinity, of the first operation of the "
        "forward pass that turns finite inputs into others: 1 if its output "
        "has infinities alone, 2 if it has NaN; 0 for all other operations",
        unit="kind",
        healthy="no such step",
        reveals="where NaN or infinity came from, see `first_nonfinite`",
    )
)

# They compare the gradients of two runs; see `measuring.gradient_sketch`.
for _index in range(16):
    declare(
        Statistic(
            name=f"gradient_sketch_{_index}",
            family="sketch",
            column=_index,
            meaning="sum of the gradient's elements with random signs",
            unit="gradient",
        )
    )

declare(
    Statistic(
        name="probe_training_loss",
        family="probe",
        column=0,
        meaning="loss of a batch in training mode, see `gradscope.probe`",
        unit="loss",
        healthy="near `probe_inference_loss`",
        reveals="training and inference that are different networks",
    )
)

declare(
    Statistic(
        name="probe_inference_loss",
        family="probe",
        column=1,
        meaning="loss of the same batch in inference mode",
        unit="loss",
        healthy="near `probe_training_loss`",
        reveals="training and inference that are different networks",
    )
)
