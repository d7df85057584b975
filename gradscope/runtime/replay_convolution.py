"""Computes gradients of convolutions in a form that XLA runs fast on CPUs.

A step that XLA compiles is computed a second time where it is recorded, in a
branch. XLA brings convolutions into the form that Eigen's kernels take, but not
inside of branches (its pass `ConvCanonicalization` looks at the entry
computation alone), and the gradients that TensorFlow asks for are not of that
form: each product would be made by a plain loop, which takes many times as
long. So they are asked for in that form here: examples first, features last.
"""

from __future__ import annotations

import tensorflow as tf

# Neither has a public name: XLA's own convolution, and its axes' description.
from tensorflow.compiler.tf2xla.python import xla
from tensorflow.compiler.xla import xla_data_pb2

_OF_INPUT = ("Conv2DBackpropInput", "Conv3DBackpropInputV2")
_OF_FILTER = ("Conv2DBackpropFilter", "Conv3DBackpropFilterV2")


def gradient(operation: tf.Operation, inputs: list) -> tf.Tensor | None:
    """Compute the gradient of a convolution from new inputs.

    Args:
        operation: An operation of a graph that XLA compiles.
        inputs: Tensors in place of its inputs.

    Returns:
        The operation's output for these inputs; None if it is no gradient of a
        convolution, or of one with another layout or with groups.
    """
    if operation.type not in (*_OF_INPUT, *_OF_FILTER):
        return None
    of_input = operation.type in _OF_INPUT
    image, kernel = operation.inputs[0], operation.outputs[0]
    if of_input:
        image, kernel = operation.outputs[0], operation.inputs[1]
    window = _Window.of(operation, image.shape, kernel.shape)
    if window is None:
        return None
    compute = window.of_input if of_input else window.of_filter
    return tf.ensure_shape(compute(*inputs), operation.outputs[0].shape)


class _Window:
    """Geometry of a convolution; all lists have a number per spatial axis.

    Args:
        sizes, kernel, outputs: Sizes of the image, the kernel and the output.
        strides, dilations: Strides and dilations of the convolution.
        before: Numbers of zeros that pad the image's beginning.
    """

    def __init__(self, sizes, kernel, outputs, strides, dilations, before):
        self._strides, self._dilations = strides, dilations
        reach = [(k - 1) * d for k, d in zip(kernel, dilations, strict=True)]
        spread = [(n - 1) * s for n, s in zip(outputs, strides, strict=True)]
        ends = list(zip(sizes, reach, spread, before, strict=True))
        # For the kernel's gradient, the output's gradient, its elements
        # `strides` apart, slides over the padded image and stops once for each
        # element of the kernel: image and padding have spread + 1 + reach
        # numbers.
        self._around_filter = [[b, r + s + 1 - n - b] for n, r, s, b in ends]
        # For the image's gradient, the turned kernel slides over the output's
        # gradient, and n numbers result: spread + 1 + padding - reach = n. What
        # pads the image in front cuts off as much of the result.
        self._around_input = [[r - b, n - 1 - s + b] for n, r, s, b in ends]

    @classmethod
    def of(
        cls,
        operation: tf.Operation,
        image: tf.TensorShape,
        kernel: tf.TensorShape,
    ) -> _Window | None:
        """Window of an operation, from the shapes of its image and kernel.

        None if a size is unknown, or for another layout or with groups.
        """
        outputs = operation.inputs[2].shape
        if not operation.get_attr("data_format").endswith(b"C"):
            return None
        space = slice(1, -1)
        sizes = image[space], kernel[:-2], outputs[space]
        defined = all(part.is_fully_defined() for part in sizes)
        if not defined or image[-1] is None or image[-1] != kernel[-2]:
            return None
        sizes, kernel, outputs = (part.as_list() for part in sizes)
        strides = list(operation.get_attr("strides"))[space]
        dilations = list(operation.get_attr("dilations"))[space]
        padding = operation.get_attr("padding")
        if padding == b"EXPLICIT":
            # Pairs of each axis, of which the first and the last are no spatial
            # ones: every other number is a beginning.
            before = list(operation.get_attr("explicit_paddings"))[2:-2:2]
        else:
            steps = zip(sizes, kernel, outputs, strides, dilations, strict=True)
            missing = [
                max(0, (o - 1) * s + (k - 1) * d + 1 - n)
                for n, k, o, s, d in steps
            ]
            # With "SAME", an odd number of zeros has the smaller half in front;
            # "VALID" has none.
            before = [m // 2 * (padding == b"SAME") for m in missing]
        return cls(sizes, kernel, outputs, strides, dilations, before)

    def of_input(self, _, kernel: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
        """Gradient of the image, from the inputs of `Conv2DBackpropInput`."""
        axes = list(range(kernel.shape.rank))
        turned = tf.reverse(kernel, axes[:-2])
        turned = tf.transpose(turned, [*axes[:-2], axes[-1], axes[-2]])
        ones = [1] * len(self._strides)
        return self._convolve(
            gradient,
            turned,
            ones,
            self._around_input,
            self._strides,
            self._dilations,
        )

    def of_filter(self, image: tf.Tensor, _, gradient: tf.Tensor) -> tf.Tensor:
        """Gradient of the kernel, from the inputs of `Conv2DBackpropFilter`."""
        space = list(range(1, image.shape.rank - 1))
        last = image.shape.rank - 1
        result = self._convolve(
            tf.transpose(image, [last, *space, 0]),
            tf.transpose(gradient, [*space, 0, last]),
            self._dilations,
            self._around_filter,
            [1] * len(self._strides),
            self._strides,
        )
        return tf.transpose(result, [*space, 0, last])

    def _convolve(self, image, kernel, strides, around, inner, between):
        rank = image.shape.rank
        axes = xla_data_pb2.ConvolutionDimensionNumbers(
            input_batch_dimension=0,
            input_feature_dimension=rank - 1,
            input_spatial_dimensions=range(1, rank - 1),
            kernel_spatial_dimensions=range(rank - 2),
            kernel_input_feature_dimension=rank - 2,
            kernel_output_feature_dimension=rank - 1,
            output_batch_dimension=0,
            output_feature_dimension=rank - 1,
            output_spatial_dimensions=range(1, rank - 1),
        )
        return xla.conv(image, kernel, strides, around, inner, between, axes)
