"""Panels made by hand are what protobuf makes of the same messages."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

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
    metadata = metadata_of(plugin)
    panel = event_bytes.panel(tag, metadata.SerializeToString(), array)
    found = tf.compat.v1.Summary.Value.FromString(panel.serialize())
    assert found == message(tag, array, metadata)
    found = tf.compat.v1.Summary.Value.FromString(panel.serialize(False))
    assert not found.HasField("metadata")


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
