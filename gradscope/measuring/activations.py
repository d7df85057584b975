"""Statistics of activations: firing units, saturation, mean, size.

A *unit* is an index of an activation's last axis: a neuron of a dense layer,
or a channel of a convolution at all its positions. Dead units are counted over
many steps, on the host: see `gradscope.recording.unit_history`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from gradscope.format.rows import DIES, RISES
from gradscope.format.step_layout import ACTIVATION_MEASURED

#: An element is saturated if the derivative of its activation function is below
#: this share of the function's largest derivative, so that hardly any gradient
#: passes. A sigmoid is saturated with an output below .013 or above .987, tanh
#: beyond +-.975. (Glorot and Bengio 2010 call units at the ends of their
#: histogram saturated; no limit is generally agreed, see Rakitianskaia and
#: Engelbrecht 2015.)
SATURATED = 0.05

# With these, mean 0 and variance 1 are kept from layer to layer (Klambauer et
# al. 2017, "Self-Normalizing Neural Networks").
_SELU_SCALE = 1.0507009873554805
_SELU_ALPHA = 1.6732632423543772


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of activation function.

    Attributes:
        derivative: Computes the derivative, relative to the largest one, from
            the tensor that is read. None if the derivative is never small.
        function: The activation function if its input is read. None if its
            output is read. (The input of a GELU and a SiLU is read, since their
            derivative does not follow from their output. Also, they end with a
            product that TensorFlow fuses with a following dropout unless
            another operation reads it.)
    """

    derivative: Callable[[tf.Tensor], tf.Tensor] | None
    function: Callable[[tf.Tensor], tf.Tensor] | None = None


def _gelu_slope(x: tf.Tensor) -> tf.Tensor:
    density = tf.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)
    share = 0.5 * (1 + tf.math.erf(x / np.sqrt(2)))
    # A GELU is steepest at √2, with a slope of 1.129.
    return (share + x * density) / 1.129


def _silu_slope(x: tf.Tensor) -> tf.Tensor:
    share = tf.sigmoid(x)
    # A SiLU is steepest at 2.4, with a slope of 1.0998.
    return share * (1 + x * (1 - share)) / 1.0998


def _selu_slope(y: tf.Tensor) -> tf.Tensor:
    # The slope just below zero; above zero it is the scale alone.
    steepest = _SELU_SCALE * _SELU_ALPHA
    slope = tf.where(y > 0, tf.cast(_SELU_SCALE, y.dtype), y + steepest)
    return slope / steepest


def _gelu(x: tf.Tensor) -> tf.Tensor:
    return tf.nn.gelu(x)


def _gelu_by_tanh(x: tf.Tensor) -> tf.Tensor:
    return tf.nn.gelu(x, approximate=True)


def _silu(x: tf.Tensor) -> tf.Tensor:
    return x * tf.sigmoid(x)


#: Kinds by their name in Keras; `gelu_tanh` is Keras's approximate GELU.
KINDS = {
    "relu": Kind(lambda y: tf.cast(y > 0, y.dtype)),
    "relu6": Kind(lambda y: tf.cast((y > 0) & (y < 6), y.dtype)),
    "leaky_relu": Kind(None),
    "elu": Kind(lambda y: tf.where(y > 0, tf.ones_like(y), y + 1)),
    "selu": Kind(_selu_slope),
    "gelu": Kind(_gelu_slope, _gelu),
    "gelu_tanh": Kind(_gelu_slope, _gelu_by_tanh),
    "silu": Kind(_silu_slope, _silu),
    # Each from the output y: the slope of softplus is sigmoid(x), which is 1 -
    # exp(-y); that of softsign 1 / (1 + |x|)^2 = (1 - |y|)^2. Sigmoid's is 1/4
    # at most.
    "softplus": Kind(lambda y: 1 - tf.exp(-y)),
    "softsign": Kind(lambda y: (1 - tf.abs(y)) ** 2),
    "sigmoid": Kind(lambda y: 4 * y * (1 - y)),
    "tanh": Kind(lambda y: 1 - y * y),
    # The derivative of each output by its own input, as on the diagonal of the
    # Jacobian.
    "softmax": Kind(lambda y: 4 * y * (1 - y)),
}

#: Kinds without negative outputs, besides those of `DIES`.
POSITIVE = ("sigmoid", "softmax", "softplus")

#: Columns of the result of `measure`.
MEASURED = ACTIVATION_MEASURED[:-1]


def measure(kind: str, read: tf.Tensor, fused: bool = False) -> tf.Tensor:
    """Measure n activations in one step, float32 `[n, MEASURED]`.

    Args:
        kind: One of `KINDS`.
        read: The outputs of the activation function, `[n, examples, ...,
            units]` of any float dtype; its inputs if the kind has a
            `function`.
        fused: Whether XLA fuses consecutive operations into one pass.

    Examples:
        Of four numbers of a ReLU, which is saturated where it is zero, two are
        zero; their mean is 1, the root of their mean square is the root of
        (1 + 9) / 4, and the largest is 3.

        >>> outputs = tf.constant([[[0.0, 1.0], [0.0, 3.0]]])
        >>> row = measure("relu", outputs)[0].numpy().tolist()
        >>> {name: round(x, 3) for name, x in zip(MEASURED, row)}
        {'zero_fraction': 0.5, 'saturated_fraction': 0.5,
         'activation_mean': 1.0, 'activation_rms': 1.581,
         'activation_max': 3.0, 'activation_nonfinite': 0.0}
    """
    return measure_with_activity(kind, read, fused)[0]


def measure_with_activity(
    kind: str,
    read: tf.Tensor,
    fused: bool = False,
    rows: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Measure n activations and the activity of their units.

    Args:
        kind, read, fused: As of `measure`.
        rows: Number of rows of each activation in `read`, see
            `sampling.Sample`; None if each has all rows.

    Returns:
        The statistics as of `measure`, and the activity, float32 `[n, units]`:
        the share of examples (and positions) for which a unit was above zero.
        The activity is exactly 0 only for a unit that never was, and exactly 1
        only for one that always was. It is None for a kind whose units can
        neither die nor be always on. Both are NaN for an activation without
        examples.

    Examples:
        >>> outputs = tf.constant([[[0.0, 1.0], [0.0, 3.0], [0.0, 0.0]]])
        >>> _, activity = measure_with_activity("relu", outputs)
        >>> activity.numpy().round(2)  # unit 1 fires for two of three examples
        array([[0.  , 0.67]], dtype=float32)
    """
    activation = KINDS[kind]
    # Sums of float16 numbers would overflow.
    read = tf.cast(read, tf.float32)
    y = read if activation.function is None else activation.function(read)
    sizes = _Sizes.of(y, rows)
    flat = tf.reshape(y, [y.shape.as_list()[0], -1])
    mean = tf.reduce_sum(flat, axis=1) / sizes.size
    magnitudes = flat if kind in DIES or not fused else tf.abs(flat)
    maximum = tf.reduce_max(magnitudes, axis=1)
    if kind not in (*DIES, *POSITIVE) and not fused:
        maximum = tf.maximum(maximum, -tf.reduce_min(flat, axis=1))
    maximum = tf.where(sizes.size > 0, maximum, np.float32(np.nan))

    def measure_any():
        return _shares(activation, read, y, sizes), _activity(kind, y, sizes)

    def measure_finite():
        return _of_finite(kind, read, y, sizes)

    # Summing signs is faster than casting and summing a mask, but signs are
    # wrong if there is a NaN. XLA fuses either way into one pass, and would
    # compile both branches.
    finite = tf.reduce_all(tf.math.is_finite(mean))
    shares, activity = (
        measure_any() if fused else tf.cond(finite, measure_finite, measure_any)
    )
    zero, saturated, nonfinite = tf.unstack(shares)
    rms = tf.sqrt(_squares(flat) / sizes.size)
    columns = {
        "zero_fraction": zero,
        "saturated_fraction": saturated,
        "activation_mean": mean,
        "activation_rms": rms,
        "activation_max": maximum,
        "activation_nonfinite": nonfinite,
    }
    measured = tf.stack([columns[name] for name in MEASURED], axis=1)
    return measured, activity if _is_counted(kind) else None


@dataclasses.dataclass
class _Sizes:
    """Counts of numbers in n stacked activations.

    Attributes:
        of_unit: Count of numbers of each unit, float32 `[n]` or a scalar.
        size: Count of numbers of all units.
        padding: Count of zeros that are padding; None without padding.
    """

    of_unit: tf.Tensor
    size: tf.Tensor
    padding: tf.Tensor | None = None

    @classmethod
    def of(cls, y: tf.Tensor, rows: tf.Tensor | None) -> _Sizes:
        count, *_, units = y.shape.as_list()
        size_with_padding = tf.size(y) // max(1, count * units)
        if rows is None:
            of_unit = tf.cast(size_with_padding, tf.float32)
            return cls(of_unit, of_unit * units)
        positions = size_with_padding // tf.maximum(1, tf.shape(y)[1])
        of_unit = rows * tf.cast(positions, tf.float32)
        size = of_unit * units
        return cls(
            of_unit, size, tf.cast(size_with_padding * units, tf.float32) - size
        )

    def share(
        self, mask: tf.Tensor, of_zero: bool | tf.Tensor = True
    ) -> tf.Tensor:
        """Compute the share of numbers for which a mask is set, `[n]`.

        Args:
            mask: Bool, of the activations' shape.
            of_zero: Whether the mask is set for padding.
        """
        ones = tf.cast(mask, tf.float32)
        total = tf.reduce_sum(ones, axis=_all_but_first(mask))
        if self.padding is not None:
            total -= self.padding * tf.cast(of_zero, tf.float32)
        return total / self.size


def _squares(flat: tf.Tensor) -> tf.Tensor:
    if flat.shape.as_list()[0] > 1:
        return tf.reduce_sum(flat * flat, axis=1)
    # This does not write the squares to memory.
    return tf.reshape(2.0 * tf.nn.l2_loss(flat), [1])


def _is_counted(kind: str) -> bool:
    return kind in DIES or kind in RISES


def _shares(
    activation: Kind, read: tf.Tensor, y: tf.Tensor, sizes: _Sizes
) -> tf.Tensor:
    """Compute the share of zeros, the share of saturated elements, and the
    count of non-finite elements, `[3, n]`."""
    saturated = tf.fill([y.shape.as_list()[0]], np.float32(np.nan))
    if activation.derivative is not None:
        saturated = _saturated(activation, read, sizes)
    finite = tf.cast(tf.math.is_finite(y), tf.float32)
    nonfinite = tf.reduce_sum(1.0 - finite, axis=_all_but_first(y))
    return tf.stack([sizes.share(tf.equal(y, 0.0)), saturated, nonfinite])


def _saturated(activation: Kind, read: tf.Tensor, sizes: _Sizes) -> tf.Tensor:
    def is_flat(x):
        return tf.abs(activation.derivative(x)) < SATURATED

    return sizes.share(is_flat(read), is_flat(tf.zeros([])))


def _of_finite(
    kind: str, read: tf.Tensor, y: tf.Tensor, sizes: _Sizes
) -> tuple[tf.Tensor, tf.Tensor]:
    """Compute `_shares` and `_activity` of finite outputs."""
    if kind in DIES:  # no output is negative
        activity = _by_unit(tf.sign(y), sizes)
        zero = 1.0 - tf.reduce_mean(activity, axis=1)
    else:
        activity = _activity(kind, y, sizes)
        nonzeros = tf.reduce_sum(tf.abs(tf.sign(y)), axis=_all_but_first(y))
        zero = 1.0 - nonzeros / sizes.size
    saturated = tf.fill(tf.shape(zero), np.float32(np.nan))
    nonfinite = 0.0 * zero
    if kind == "relu":  # its derivative is zero exactly where its output is
        saturated = zero
    elif KINDS[kind].derivative is not None:
        saturated = _saturated(KINDS[kind], read, sizes)
    return tf.stack([zero, saturated, nonfinite]), activity


def _activity(kind: str, y: tf.Tensor, sizes: _Sizes) -> tf.Tensor:
    if not _is_counted(kind):
        return tf.zeros([y.shape.as_list()[0], 0])
    return _by_unit(tf.cast(y > 0, tf.float32), sizes)


def _by_unit(ones: tf.Tensor, sizes: _Sizes) -> tf.Tensor:
    # Not the mean: XLA multiplies by the inverse of the count, and then the
    # share of a unit that is always on can be .99999994 instead of 1.
    count = tf.reduce_sum(ones, axis=list(range(1, ones.shape.rank - 1)))
    return count / tf.reshape(sizes.of_unit, [-1, 1])


def _all_but_first(tensor: tf.Tensor) -> list[int]:
    return list(range(1, tensor.shape.rank))
