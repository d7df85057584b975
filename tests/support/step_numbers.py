"""Numbers of one step, measured on given gradients and weights."""

import ml_dtypes
import numpy as np
import tensorflow as tf

from gradscope.format.schema import VARIABLE_COLUMNS
from gradscope.measuring import gradients, statistics

DTYPES = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]


def both_ways(function, *tensors):
    """Returns the result of TensorFlow's kernels and of XLA's."""
    compiled = tf.function(function, jit_compile=True)
    return [function(*tensors).numpy(), compiled(*tensors).numpy()]


def measured(grads, before, after, clipped=None, fused=False):
    """Returns what is measured of a step, for gradients of any form."""
    step = statistics.stack_step(
        [gradients.gradient_values(g) for g in grads],
        clipped and [gradients.gradient_values(g) for g in clipped],
        before,
        after,
        fused,
    )
    return statistics.measure(step, [g is None for g in grads], fused)


def numbers(gradient, before=None, after=None, *, compiled=False):
    """Returns all statistics of one variable."""
    if before is None:
        before = np.ones(np.shape(gradient), np.float32)
    before = np.asarray(before)
    after = before if after is None else after
    gradient = None if gradient is None else tf.constant(gradient)

    def measure():
        return measured([gradient], [tf.constant(before)], [tf.constant(after)])

    run = tf.function(measure, jit_compile=True) if compiled else measure
    sizes = np.array([before.size])
    row = statistics.complete(run().numpy(), sizes)[0]
    assert row.dtype == np.float32
    return dict(zip(VARIABLE_COLUMNS, row.tolist(), strict=True))
