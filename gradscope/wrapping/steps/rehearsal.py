"""Measuring a forward pass before any step does: what is wrong with it shows
while the step is traced, where an error ends no training.

While a graph is built, TensorFlow proves that shapes fit as far as it knows
them. Of an axis of unknown size it knows nothing, and what does not fit there
fails when the step runs, with the step. So whatever has such an axis is
measured by a program of its own, on small tensors of all sizes.
"""

from __future__ import annotations

import itertools

import tensorflow as tf

from gradscope.runtime import own_variables
from gradscope.wrapping.forward.forward_pass import ForwardPass
from gradscope.wrapping.steps.forward_row import ForwardMeasurement

#: What axes of unknown size are, in turn, and tensors of unknown rank. In the
#: last round there are no examples.
_ROUNDS = (
    ((2, 3, 1, 5, 4), [4, 3]),
    ((3, 1, 2, 2, 5), []),
    ((0, 2, 3), [0]),
)


def rehearse(forward_pass: ForwardPass) -> None:
    """Measures what has axes of unknown size, of other sizes each time.

    Args:
        seen: What there is to be seen of a forward pass.

    Raises:
        Exception: If a step could not measure it.
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
        # The axis of examples comes first, whatever was before.
        shape = [next(sizes) if n is None else n for n in spec.shape.as_list()]
    return tf.zeros(shape, spec.dtype)


def _with_unknown_axes(forward_pass: ForwardPass) -> ForwardPass:
    """Returns what has other axes of unknown size than that of the examples,
    of which there may be fewer in the last batch of any training."""
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
