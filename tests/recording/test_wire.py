"""Panels made by hand are what protobuf makes of the same messages."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tensorboard.util import tensor_util

from gradscope.recording import event_bytes

SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=200)


def message(tag, array, metadata):
    """Returns the same by protobuf's own library."""
    value = tf.compat.v1.Summary.Value(tag=tag, metadata=metadata)
    value.tensor.dtype = 1
    value.tensor.tensor_shape.CopyFrom(tf.TensorShape(array.shape).as_proto())
    value.tensor.tensor_content = array.tobytes()
    return value


def metadata_of(plugin):
    metadata = tf.compat.v1.SummaryMetadata(data_class=2)
    metadata.plugin_data.plugin_name = plugin
    return metadata


@hypothesis.given(st.text(min_size=1), SHAPES, st.text(max_size=300))
def test_a_panel_is_the_message(tag, shape, plugin):
    array = np.full(shape, np.pi, np.float32)
    full, brief = metadata_of(plugin), metadata_of("brief")
    panel = event_bytes.Panel(
        tag,
        full.SerializeToString(),
        brief.SerializeToString(),
        event_bytes.tensor(array),
    )
    for is_first, metadata in ((True, full), (False, brief)):
        found = tf.compat.v1.Summary.Value.FromString(panel.serialize(is_first))
        assert found == message(tag, array, metadata)


@hypothesis.given(st.binary(max_size=300))
def test_bytes_and_texts_are_tensors_of_their_type(data):
    array = np.frombuffer(data, np.uint8)
    assert np.array_equal(parsed(event_bytes.tensor(array)), array)
    text = data.decode(errors="replace")
    assert parsed(event_bytes.text_tensor(text)).item() == text.encode()


def parsed(field):
    value = tf.compat.v1.Summary.Value.FromString(field)
    return tensor_util.make_ndarray(value.tensor)


@pytest.mark.parametrize("count", [0, 1, 3, 2000])
def test_an_event_is_the_message_byte_for_byte(count):
    event = tf.compat.v1.Event(step=7, wall_time=1.5)
    head = event.SerializeToString()
    values = []
    for number in range(count):
        array = np.arange(number, dtype=np.float32)
        value = message(f"weights/{number}", array, metadata_of("histograms"))
        event.summary.value.append(value)
        values.append(value.SerializeToString())
    event.summary.SetInParent()
    assert event_bytes.event(head, values) == event.SerializeToString()
