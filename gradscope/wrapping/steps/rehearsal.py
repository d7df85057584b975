"""Rehearsal: measures a forward pass while the step is traced.

An error in the rehearsal ends no training. TensorFlow proves that shapes fit
while it builds a graph, but not for axes of unknown size: a shape that does not
fit there fails when the step runs. So tensors with such axes are measured by a
separate program first, on small tensors of several sizes.
"""

from __future__ import annotations

import itertools

import tensorflow as tf

from gradscope.runtime import own_variables
from gradscope.wrapping.forward.forward_pass import ForwardPass
from gradscope.wrapping.steps.forward_row import ForwardMeasurement

#: Sizes for axes of unknown size, in turn, and the shape for tensors of unknown
#: rank. The last round has no examples.
_ROUNDS = (
    ((2, 3, 1, 5, 4), [4, 3]),
    ((3, 1, 2, 2, 5), []),
    ((0, 2, 3), [0]),
)


def rehearse(forward_pass: ForwardPass) -> None:
    """Measure the tensors with axes of unknown size, with several sizes.

    Args:
        forward_pass: The forward pass of a step that is traced.

    Raises:
        Exception: If a step could not measure the forward pass.
    """
    unknown = _with_unknown_axes(forward_pass)
    tensors = unknown.tensors()
    if tensors:
        own_variables.run_in_thread(lambda: _rehearse(unknown, tensors))


def _rehearse(unknown: ForwardPass, tensors: list) -> None:
    specs = [tf.TensorSpec(t.shape, t.dtype.base_dtype) for t in tensors]
    measurement = ForwardMeasurement(unknown.schema((), {}, None))

    def measure(*values):
        return measurement.measure(unknown.with_tensors(list(values)))

    with own_variables.eagerly():
        program = tf.function(measure, input_signature=specs, autograph=False)
        for sizes, shape in _ROUNDS:
            sizes_in_turn = itertools.cycle(sizes)
            program(*[_example(spec, sizes_in_turn, shape) for spec in specs])


def _example(spec, sizes, shape: list) -> tf.Tensor:
    if spec.shape.rank is not None:
        # The cycle of sizes goes on from tensor to tensor.
        shape = [next(sizes) if n is None else n for n in spec.shape.as_list()]
    return tf.zeros(shape, spec.dtype)


def _with_unknown_axes(forward_pass: ForwardPass) -> ForwardPass:
    """Select the tensors with an axis of unknown size besides that of examples.

    The number of examples does not count: it is unknown in any training whose
    last batch may be smaller.
    """
    return ForwardPass(
        {
            row: tensors
            for row, tensors in forward_pass.activations.items()
            if _has_unknown_axis(tensors)
        },
        {
            row: tensors
            for row, tensors in forward_pass.states.items()
            if _has_unknown_axis(tensors)
        },
        {n: t for n, t in forward_pass.data.items() if not _is_known(t)},
    )


def _has_unknown_axis(tensors_of_row) -> bool:
    return not all(map(_is_known, tensors_of_row.tensors()))


def _is_known(tensor) -> bool:
    shape = tensor.shape
    return shape.rank is not None and shape[1:].is_fully_defined()
