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

#: What `measure` returns, in the order of `schema.ACTIVATION_COLUMNS`.
MEASURED = (
    "zero_fraction",
    "saturated_fraction",
    "activation_mean",
    "activation_rms",
    "activation_max",
    "activation_nonfinite",
)


def measure(kind: str, inputs: list, outputs: list) -> tf.Tensor:
    """Returns the statistics of one activation in one step, float32
    `[MEASURED]`.

    Args:
        kind: One of `KINDS`.
        inputs: What the activation function was given: one tensor, or one for
            each time step or call of the layer. Any float dtype and shape.
        outputs: What it returned.
    """
    x, y = (
        tf.concat([tf.reshape(_wide(t), [-1]) for t in tensors], axis=0)
        for tensors in (inputs, outputs)
    )
    derivative = KINDS[kind].derivative
    saturated = tf.constant(np.nan, tf.float32)
    if derivative is not None:
        small = tf.abs(derivative(x, y)) < SATURATED
        saturated = _share(small)
    return tf.stack(
        [
            _share(tf.equal(y, 0)),
            saturated,
            tf.reduce_mean(y),
            tf.sqrt(tf.reduce_mean(y * y)),
            tf.reduce_max(tf.abs(y)),
            tf.reduce_sum(
                tf.cast(tf.logical_not(tf.math.is_finite(y)), tf.float32)
            ),
        ]
    )


def fired(outputs: list) -> tf.Tensor:
    """Returns which units were above zero for any example, bool `[units]`."""
    return _for_any(outputs, lambda y: y > 0)


def rested(outputs: list) -> tf.Tensor:
    """Returns which units were not above zero for any example, bool
    `[units]`: a unit that never rests is always on."""
    return _for_any(outputs, lambda y: tf.logical_not(y > 0))


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


def _wide(tensor) -> tf.Tensor:
    """Sums of float16 numbers overflow."""
    return tf.cast(tensor, tf.float32)


def _share(mask) -> tf.Tensor:
    return tf.reduce_mean(tf.cast(mask, tf.float32))


def _for_any(outputs, test) -> tf.Tensor:
    masks = [
        tf.reduce_any(test(y), axis=list(range(y.shape.rank - 1)))
        for y in outputs
    ]
    return tf.reduce_any(tf.stack(masks), axis=0)
