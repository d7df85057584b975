"""Gradients of convolutions in XLA's own form, against TensorFlow's."""

import numpy as np
import pytest
import tensorflow as tf

from gradscope.runtime import replay_convolution

#: Sizes of the image, of the kernel, strides, dilations, padding.
CASES = [
    ((7, 6), (3, 2), (1, 1), (1, 1), "VALID"),
    ((7, 6), (3, 2), (2, 3), (1, 1), "VALID"),
    ((28, 28), (3, 3), (2, 2), (1, 1), "VALID"),
    ((7, 6), (3, 4), (2, 2), (1, 1), "SAME"),
    ((8, 9), (2, 3), (1, 1), (2, 3), "SAME"),
    ((9, 8), (3, 3), (3, 1), (1, 1), "EXPLICIT"),
    ((5, 5), (1, 1), (2, 2), (1, 1), "SAME"),
    ((5, 6, 4), (2, 3, 2), (1, 2, 1), (1, 1, 1), "SAME"),
]


def both(case, which):
    """Returns TensorFlow's gradient and ours, as XLA computes them."""
    sizes, kernel, strides, dilations, padding = case
    random, rank = np.random.default_rng(0), len(sizes)
    image = random.normal(size=[3, *sizes, 2]).astype("float32")
    filters = random.normal(size=[*kernel, 2, 4]).astype("float32")
    options = {
        "strides": [1, *strides, 1],
        "dilations": [1, *dilations, 1],
        "padding": padding,
    }
    if padding == "EXPLICIT":
        options["explicit_paddings"] = [0, 0, 1, 2, 0, 1, 0, 0]
    suffix = "V2" if rank == 3 else ""
    forward = getattr(tf.raw_ops, f"Conv{rank}D")
    backward = getattr(tf.raw_ops, f"Conv{rank}DBackprop{which}{suffix}")

    @tf.function(jit_compile=True)
    def run():
        y = forward(input=image, filter=filters, **options)
        gradient = tf.random.stateless_normal(tf.shape(y), [1, 2])
        gradient = tf.ensure_shape(gradient, y.shape)
        given = (
            {"input_sizes": image.shape, "filter": filters}
            if which == "Input"
            else {"input": image, "filter_sizes": filters.shape}
        )
        found = backward(**given, out_backprop=gradient, **options)
        return found, replay_convolution.gradient(
            found.op, list(found.op.inputs)
        )

    return [part.numpy() for part in run()]


@pytest.mark.parametrize("which", ["Input", "Filter"])
@pytest.mark.parametrize("case", CASES)
def test_gradients_are_those_of_tensorflow(case, which):
    theirs, ours = both(case, which)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("channels", [2, 4])
def test_what_is_of_another_form_is_left_alone(channels):
    """Groups of channels, and other operations."""
    with tf.Graph().as_default():
        gradient = tf.zeros([1, 4, 4, 4])
        found = tf.raw_ops.Conv2DBackpropFilter(
            input=tf.zeros([1, 4, 4, channels]),
            filter_sizes=[1, 1, 2, 4],
            out_backprop=gradient,
            strides=[1, 1, 1, 1],
            padding="SAME",
        )
        ours = replay_convolution.gradient(found.op, list(found.op.inputs))
        assert (ours is None) == (channels == 4)
        assert (
            replay_convolution.gradient(tf.abs(gradient).op, [gradient]) is None
        )
