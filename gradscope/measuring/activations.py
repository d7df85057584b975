"""Activations: units that never fire, saturation, and how large all is.

A *unit* is an index of an activation's last axis: a neuron of a dense layer,
or a channel of a convolution at all its positions. A ReLU unit is *dead* when
it was zero for every example of a window of examples. One batch says nothing:
of 16 healthy units, 27 % are zero for one example (seed 2 of the project, with
batches of one, where not one unit is dead).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from gradscope.schema import ACTIVATION_COLUMNS

#: An element is saturated where the derivative of its activation function is
#: below this share of the largest that the function has: a gradient that
#: passes is all but lost. For the sigmoid that is an output below .013 or
#: above .987, for tanh one beyond +-.975. (Glorot and Bengio 2010 call units
#: saturated that lie at the ends of their histogram; there is no agreed
#: limit, see Rakitianskaia and Engelbrecht 2015.)
SATURATED = 0.05

_SELU_SCALE = 1.0507009873554805
_SELU_ALPHA = 1.6732632423543772


@dataclasses.dataclass(frozen=True)
class Kind:
    """An activation function.

    Attributes:
        derivative: From input and output to the derivative's share of the
            largest one; None where it is never small.
        dies: Whether a unit can be zero with a zero gradient.
        rises: Whether it is as large as its input where that is large: what
            is on for every input is linear then.
    """

    derivative: Callable | None
    dies: bool = False
    rises: bool = False


def _step(x, y):
    return tf.cast(y > 0, y.dtype)


def _gelu(x, y):
    density = tf.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)
    share = 0.5 * (1 + tf.math.erf(x / np.sqrt(2)))
    return (share + x * density) / 1.129


def _silu(x, y):
    share = tf.sigmoid(x)
    return share * (1 + x * (1 - share)) / 1.0998


def _selu(x, y):
    steepest = _SELU_SCALE * _SELU_ALPHA
    slope = tf.where(y > 0, tf.cast(_SELU_SCALE, y.dtype), y + steepest)
    return slope / steepest


#: By the name that Keras gives them.
KINDS = {
    "relu": Kind(_step, dies=True, rises=True),
    "relu6": Kind(lambda x, y: tf.cast((y > 0) & (y < 6), y.dtype), dies=True),
    "leaky_relu": Kind(None, rises=True),
    "elu": Kind(lambda x, y: tf.where(y > 0, tf.ones_like(y), y + 1)),
    "selu": Kind(_selu),
    "gelu": Kind(_gelu),
    "silu": Kind(_silu),
    "softplus": Kind(lambda x, y: 1 - tf.exp(-y)),
    "softsign": Kind(lambda x, y: (1 - tf.abs(y)) ** 2),
    "sigmoid": Kind(lambda x, y: 4 * y * (1 - y)),
    "tanh": Kind(lambda x, y: 1 - y * y),
    # Of an output by its own input: the diagonal of the Jacobian.
    "softmax": Kind(lambda x, y: 4 * y * (1 - y)),
}

#: What `measure` returns: all columns but those of units over a window.
MEASURED = ACTIVATION_COLUMNS[2:]

#: Numbers of one activation that are looked at in one step: of a convolution
#: with 3 million outputs, 8 passes over all would take longer than the step.
MOST = 2**18


def sample(tensors: list[list]) -> tf.Tensor:
    """Returns the first examples of n activations, `[n, examples, ..., units]`:
    as many as all have, and as hold `MOST` numbers, and at least one.

    Args:
        tensors: For each activation its tensors `[examples, ..., units]`: one,
            or one for each time step of a time-distributed layer. All are of
            one shape but for the number of examples.
    """
    count = tf.reduce_min([tf.shape(t)[0] for calls in tensors for t in calls])
    size = tensors[0][0].shape[1:].num_elements()
    if size is not None:
        count = tf.minimum(count, max(1, MOST // max(1, size)))
    return tf.stack(
        [tf.concat([t[:count] for t in calls], axis=0) for calls in tensors]
    )


def measure(kind: str, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Returns the statistics of n activations in one step, float32
    `[n, MEASURED]`.

    Args:
        kind: One of `KINDS`.
        x: What the activation function was given, `[n, ...]` of any float
            dtype.
        y: What it returned, of the same shape.
    """
    x, y = _flat(x), _flat(y)
    saturated = tf.fill([y.shape[0]], np.float32(np.nan))
    derivative = KINDS[kind].derivative
    if derivative is not None:
        saturated = _share(tf.abs(derivative(x, y)) < SATURATED)
    finite = tf.cast(tf.math.is_finite(y), tf.float32)
    return tf.stack(
        [
            _share(tf.equal(y, 0.0)),
            saturated,
            tf.reduce_mean(y, axis=1),
            tf.sqrt(tf.reduce_mean(y * y, axis=1)),
            tf.reduce_max(tf.abs(y), axis=1),
            tf.reduce_sum(1.0 - finite, axis=1),
        ],
        axis=1,
    )


def fired(y: tf.Tensor) -> tf.Tensor:
    """Returns which units were above zero for any example, bool
    `[n, units]`, of outputs `[n, examples, ..., units]`."""
    return tf.reduce_any(y > 0, axis=list(range(1, y.shape.rank - 1)))


def rested(y: tf.Tensor) -> tf.Tensor:
    """Returns which units were not above zero for any example, as `fired`: a
    unit that never rests is always on."""
    on = tf.reduce_all(y > 0, axis=list(range(1, y.shape.rank - 1)))
    return tf.logical_not(on)


def since(before: tf.Tensor, happened: tf.Tensor, examples) -> tf.Tensor:
    """Returns how many examples ago something happened to each unit.

    Args:
        before: The result of the step before, float32 `[units]`; zeros at
            first.
        happened: Whether it happened in this step, bool `[units]`.
        examples: How many this step had, float32, scalar or `[units]`.
    """
    # Beyond this float32 does not count on.
    later = tf.minimum(before + examples, 2.0**24)
    return tf.where(happened, tf.zeros_like(before), later)


def share_without(since_then: tf.Tensor, seen, window) -> tf.Tensor:
    """Returns the share of units to which something did not happen for a
    window of examples, float32 scalar.

    NaN while fewer examples than that were seen: nothing is known yet.

    Args:
        since_then: The result of `since`, float32 `[units]`.
        seen: How many examples were seen at all, float32 scalar.
        window: Number of examples.
    """
    share = _share(since_then >= float(window))
    unknown = tf.constant(np.nan, tf.float32)
    return tf.where(seen >= float(window), share, unknown)


def _flat(tensor) -> tf.Tensor:
    # Sums of float16 numbers would overflow.
    return tf.reshape(tf.cast(tensor, tf.float32), [tensor.shape[0], -1])


def _share(mask) -> tf.Tensor:
    return tf.reduce_mean(tf.cast(mask, tf.float32), axis=-1)
