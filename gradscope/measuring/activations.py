"""Activations: how often units fire, saturation, and how large all is.

A *unit* is an index of an activation's last axis: a neuron of a dense layer,
or a channel of a convolution at all its positions. Which of them are dead is
counted over many steps, on the host: see `gradscope.recording.unit_history`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from gradscope.format.rows import DIES, RISES
from gradscope.format.step_layout import ACTIVATION_MEASURED

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
        derivative: The derivative's share of the largest one, from what is
            read; None where it is never small.
        function: The function itself where its input is read, else None: its
            output is read. (A GELU and a SiLU end with a product, which
            TensorFlow merges with the dropout behind it unless somebody reads
            it; and their slope does not follow from their output.)
    """

    derivative: Callable | None
    function: Callable | None = None


def _gelu_slope(x):
    density = tf.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)
    share = 0.5 * (1 + tf.math.erf(x / np.sqrt(2)))
    return (share + x * density) / 1.129


def _silu_slope(x):
    share = tf.sigmoid(x)
    return share * (1 + x * (1 - share)) / 1.0998


def _selu_slope(y):
    steepest = _SELU_SCALE * _SELU_ALPHA
    slope = tf.where(y > 0, tf.cast(_SELU_SCALE, y.dtype), y + steepest)
    return slope / steepest


def _gelu(x):
    return tf.nn.gelu(x)


def _gelu_by_tanh(x):
    return tf.nn.gelu(x, approximate=True)


def _silu(x):
    return x * tf.sigmoid(x)


#: By the name that Keras gives them; `gelu_tanh` is its approximate one.
KINDS = {
    "relu": Kind(lambda y: tf.cast(y > 0, y.dtype)),
    "relu6": Kind(lambda y: tf.cast((y > 0) & (y < 6), y.dtype)),
    "leaky_relu": Kind(None),
    "elu": Kind(lambda y: tf.where(y > 0, tf.ones_like(y), y + 1)),
    "selu": Kind(_selu_slope),
    "gelu": Kind(_gelu_slope, _gelu),
    "gelu_tanh": Kind(_gelu_slope, _gelu_by_tanh),
    "silu": Kind(_silu_slope, _silu),
    "softplus": Kind(lambda y: 1 - tf.exp(-y)),
    "softsign": Kind(lambda y: (1 - tf.abs(y)) ** 2),
    "sigmoid": Kind(lambda y: 4 * y * (1 - y)),
    "tanh": Kind(lambda y: 1 - y * y),
    # Of an output by its own input: the diagonal of the Jacobian.
    "softmax": Kind(lambda y: 4 * y * (1 - y)),
}

#: Of which no output is below zero, besides those of `DIES`.
POSITIVE = ("sigmoid", "softmax", "softplus")

#: What `measure` returns.
MEASURED = ACTIVATION_MEASURED[:-1]


def measure(kind: str, read: tf.Tensor, fused: bool = False) -> tf.Tensor:
    """Returns the statistics of n activations in one step, float32
    `[n, MEASURED]`.

    Args:
        kind: One of `KINDS`.
        read: What the activation function returned, `[n, examples, ...,
            units]` of any float dtype; or what it was given, where the kind has
            a `function`.
        fused: Whether XLA makes one pass of operations that follow each other.
    """
    return with_activity(kind, read, fused)[0]


def with_activity(
    kind: str, read: tf.Tensor, fused: bool = False, rows=None
) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Returns what `measure` does; and, where a unit can be dead or always on,
    for which share of the examples (and positions) it was above zero, float32
    `[n, units]`: 0 just where it never was, and 1 just where it always was.
    What an activation without examples does not have is NaN.

    Args:
        kind, read, fused: As of `measure`.
        rows: How many rows of `read` each activation has, see
            `sampling.Sample`; None for all.
    """
    one = KINDS[kind]
    # Sums of float16 numbers would overflow.
    read = tf.cast(read, tf.float32)
    y = read if one.function is None else one.function(read)
    extent = _Extent.of(y, rows)
    flat = tf.reshape(y, [y.shape.as_list()[0], -1])
    mean = tf.reduce_sum(flat, axis=1) / extent.size
    largest = flat if kind in DIES or not fused else tf.abs(flat)
    most = tf.reduce_max(largest, axis=1)
    if kind not in (*DIES, *POSITIVE) and not fused:
        most = tf.maximum(most, -tf.reduce_min(flat, axis=1))
    most = tf.where(extent.size > 0, most, np.float32(np.nan))

    def exactly():
        return _shares(one, read, y, extent), _activity(kind, y, extent)

    def quickly():
        return _of_finite(kind, read, y, extent)

    # A mask, its cast and its sum take three times as long as signs do, which
    # a NaN would spoil. XLA makes one pass of either, and would compile both.
    finite = tf.reduce_all(tf.math.is_finite(mean))
    shares, activity = exactly() if fused else tf.cond(finite, quickly, exactly)
    zero, saturated, bad = tf.unstack(shares)
    rms = tf.sqrt(_squares(flat) / extent.size)
    found = [zero, saturated, mean, rms, most, bad]
    return tf.stack(found, axis=1), activity if _is_counted(kind) else None


@dataclasses.dataclass
class _Extent:
    """How much of n activations side by side is their own.

    Attributes:
        of_unit: Numbers of each unit, float32 `[n]` or a scalar.
        size: Numbers of all units.
        padding: Zeros that mean nothing; None for none.
    """

    of_unit: tf.Tensor
    size: tf.Tensor
    padding: tf.Tensor | None = None

    @classmethod
    def of(cls, y: tf.Tensor, rows) -> _Extent:
        count, *_, units = y.shape.as_list()
        whole = tf.size(y) // max(1, count * units)
        if rows is None:
            of_unit = tf.cast(whole, tf.float32)
            return cls(of_unit, of_unit * units)
        positions = whole // tf.maximum(1, tf.shape(y)[1])
        of_unit = rows * tf.cast(positions, tf.float32)
        size = of_unit * units
        return cls(of_unit, size, tf.cast(whole * units, tf.float32) - size)

    def share(self, mask: tf.Tensor, of_zero=True) -> tf.Tensor:
        """Returns the share of the numbers for which a mask is set, `[n]`.

        Args:
            mask: Bool, of the activations' shape.
            of_zero: Whether it is set for the padding.
        """
        ones = tf.cast(mask, tf.float32)
        total = tf.reduce_sum(ones, axis=_all_but_first(mask))
        if self.padding is not None:
            total -= self.padding * tf.cast(of_zero, tf.float32)
        return total / self.size


def _squares(flat) -> tf.Tensor:
    if flat.shape.as_list()[0] > 1:
        return tf.reduce_sum(flat * flat, axis=1)
    # Reads all, and writes no squares.
    return tf.reshape(2.0 * tf.nn.l2_loss(flat), [1])


def _is_counted(kind: str) -> bool:
    return kind in DIES or kind in RISES


def _shares(one: Kind, read, y, extent: _Extent) -> tf.Tensor:
    """Returns the share that is zero, the share that is saturated, and how
    many are NaN or infinite, `[3, n]`."""
    saturated = tf.fill([y.shape.as_list()[0]], np.float32(np.nan))
    if one.derivative is not None:
        saturated = _saturated(one, read, extent)
    finite = tf.cast(tf.math.is_finite(y), tf.float32)
    bad = tf.reduce_sum(1.0 - finite, axis=_all_but_first(y))
    return tf.stack([extent.share(tf.equal(y, 0.0)), saturated, bad])


def _saturated(one: Kind, read, extent: _Extent) -> tf.Tensor:
    def is_flat(x):
        return tf.abs(one.derivative(x)) < SATURATED

    return extent.share(is_flat(read), is_flat(tf.zeros([])))


def _of_finite(kind: str, read, y, extent) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the same of outputs that are finite, and the units' activity."""
    if kind in DIES:  # nothing is below zero
        activity = _by_unit(tf.sign(y), extent)
        zero = 1.0 - tf.reduce_mean(activity, axis=1)
    else:
        activity = _activity(kind, y, extent)
        others = tf.reduce_sum(tf.abs(tf.sign(y)), axis=_all_but_first(y))
        zero = 1.0 - others / extent.size
    saturated, none = tf.fill(tf.shape(zero), np.float32(np.nan)), 0.0 * zero
    if kind == "relu":  # its slope is zero just where it is
        saturated = zero
    elif KINDS[kind].derivative is not None:
        saturated = _saturated(KINDS[kind], read, extent)
    return tf.stack([zero, saturated, none]), activity


def _activity(kind: str, y, extent: _Extent) -> tf.Tensor:
    if not _is_counted(kind):
        return tf.zeros([y.shape.as_list()[0], 0])
    return _by_unit(tf.cast(y > 0, tf.float32), extent)


def _by_unit(ones, extent: _Extent) -> tf.Tensor:
    # Not their mean: where a graph is called from inside of XLA, it multiplies
    # with the inverse of the count, and a unit is on for .99999994 of all.
    count = tf.reduce_sum(ones, axis=list(range(1, ones.shape.rank - 1)))
    return count / tf.reshape(extent.of_unit, [-1, 1])


def _all_but_first(tensor) -> list[int]:
    return list(range(1, tensor.shape.rank))
