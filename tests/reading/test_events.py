"""Event files, whole and damaged."""

import os
import struct
import tracemalloc

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from gradscope.format import json_tensor, schema
from gradscope.reading import checksum, event_files
from gradscope.recording import event_writer

VARIABLE = schema.Variable("dense/kernel", "dense", (2,), "float32")
DESCRIBED = schema.Schema((VARIABLE,))


@pytest.fixture
def path(tmp_path):
    """An event file of steps 0, 1 and 2."""
    file = event_writer.EventWriter(str(tmp_path))
    for step in range(3):
        matrix = np.full([1, 11], step)
        value = event_writer.family_value("variables", DESCRIBED.id, matrix)
        file.write(step, 100.0 + step, [value])
    file.close()
    (path,) = event_files.event_files(str(tmp_path))
    return path


def steps(path):
    return [e.step for e in event_files.events(path) if e.summary.value]


def test_events_come_in_the_order_of_writing(path):
    read = list(event_files.events(path))
    assert read[0].file_version == "brain.Event:2"
    assert [e.step for e in read[1:]] == [0, 1, 2]
    assert [e.wall_time for e in read[1:]] == [100, 101, 102]


def test_a_file_that_ends_within_a_record_has_the_records_before(path):
    with open(path, "rb") as file:
        data = file.read()
    last = len(list(event_files._records(path))[-1]) + 16
    for cut in range(1, last + 1):
        with open(path, "wb") as file:
            file.write(data[:-cut])
        assert steps(path) == [0, 1], cut
        (told,) = event_files.damage(path) if cut < last else [""]
        assert cut == last or "ends within a record" in told


@pytest.mark.parametrize("data", [b"", b"\0", b"\xff" * 40, b"\0" * 4096])
def test_a_file_of_garbage_has_no_events(tmp_path, data):
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(data)
    assert steps(path) == []


def test_a_record_of_garbage_is_left_out(path):
    with open(path, "rb") as file:
        data = file.read()
    second = list(event_files._records(path))[2]
    at = data.index(second)
    damaged = data[:at] + b"\0" * len(second) + data[at + len(second) :]
    with open(path, "wb") as file:
        file.write(damaged)
    assert steps(path) == [0, 2]
    assert event_files.damage(path) == [
        f"{path}: 1 damaged event was left out."
    ]


def test_a_flipped_bit_in_an_event_is_noticed_wherever_it_is(path):
    with open(path, "r+b") as file:
        data = file.read()
        event = list(event_files._records(path))[2]
        begin = data.index(event)
        # And in the checksum behind it, which costs a whole event as well.
        for bit in range(8 * (len(event) + 4)):
            changed = bytearray(data)
            changed[begin + bit // 8] ^= 1 << bit % 8
            file.seek(0)
            file.write(changed)
            file.flush()
            assert steps(path) == [0, 2], bit
            (told,) = event_files.damage(path)
            assert ": 1 damaged event was left out" in told


def test_an_event_that_is_no_event_is_left_out_whatever_its_checksum(tmp_path):
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(framed(b"\xff" * 100) + framed(b""))
    assert [e.step for e in event_files.events(str(path))] == [0]
    (told,) = event_files.damage(str(path))
    assert ": 1 damaged event was left out" in told


def framed(data, length=None):
    """Returns a TFRecord, with a right checksum even of a wrong length."""
    head = struct.pack("<Q", len(data) if length is None else length)
    return b"".join(
        (
            head,
            struct.pack("<I", checksum.masked_crc(head)),
            data,
            struct.pack("<I", checksum.masked_crc(data)),
        )
    )


@pytest.mark.parametrize("length", [2**60, 2**63, 2**64 - 1, 2**31, 2**31 - 1])
def test_a_length_that_nobody_wrote_takes_no_memory(tmp_path, length):
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(framed(b"", length))
    # A sparse file: 8 GB of size, and no disk.
    os.truncate(path, 2**33 if length > 2**31 - 1 else 2**20)
    tracemalloc.start()
    (told,) = event_files.events_and_damage(str(path))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "damaged at byte 0" in told or "ends within a record" in told
    assert most < 2**20


def test_a_changed_length_ends_the_file_there(path):
    with open(path, "r+b") as file:
        data = file.read()
        second = data.index(list(event_files._records(path))[2]) - 12
        for bit in range(96):
            changed = bytearray(data)
            changed[second + bit // 8] ^= 1 << bit % 8
            file.seek(0)
            file.write(changed)
            file.flush()
            assert steps(path) == [0]
            (told,) = event_files.damage(path)
            rest = len(data) - second
            assert (
                f"damaged at byte {second}: the remaining {rest} bytes" in told
            )


def test_only_event_files_count_oldest_first(tmp_path):
    for name in ["events.out.tfevents.2.b", "events.out.tfevents.1.c", "model"]:
        (tmp_path / name).touch()
    (tmp_path / "tfevents").mkdir()
    assert event_files.event_files(str(tmp_path)) == [
        str(tmp_path / "events.out.tfevents.1.c"),
        str(tmp_path / "events.out.tfevents.2.b"),
    ]


@given(
    st.sampled_from([(), (3,), (0, 2), (2, 3)]),
    st.sampled_from(["float32", "float64"]),
    st.integers(0, 99),
)
def test_an_array_survives(shape, dtype, seed):
    array = np.random.default_rng(seed).normal(size=shape).astype(dtype)
    tensor = tf.compat.v1.Summary.Value().tensor
    tensor.dtype = tf.as_dtype(dtype).as_datatype_enum
    tensor.tensor_shape.CopyFrom(tf.TensorShape(shape).as_proto())
    tensor.tensor_content = array.tobytes()
    read = event_files.to_numpy(tensor)
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, array)


def test_nan_and_infinity_survive():
    numbers = [[np.nan, np.inf, -np.inf]]
    tensor = tensor_of(event_writer.family_value("run", "id", numbers))
    np.testing.assert_array_equal(event_files.to_numpy(tensor), numbers)


def tensor_of(panel):
    return tf.compat.v1.Summary.Value.FromString(panel.serialize()).tensor


@pytest.mark.parametrize(
    "damage", [{"dtype": 99}, {"dtype": 7}, {"tensor_content": b"12345"}]
)
def test_a_damaged_tensor_is_refused(damage):
    tensor = tensor_of(event_writer.family_value("run", "id", [[1.0, 2.0]]))
    for field, content in damage.items():
        setattr(tensor, field, content)
    with pytest.raises(ValueError, match="damaged tensor"):
        event_files.to_numpy(tensor)


def test_a_schema_is_a_tensor_of_the_compressed_bytes_of_its_json():
    array = event_files.to_numpy(
        tensor_of(event_writer.schema_value(DESCRIBED))
    )
    assert array.dtype == np.uint8
    assert json_tensor.to_text(array) == DESCRIBED.to_json().encode()
    assert array.size % 8 == 0


@pytest.mark.parametrize("cut", [slice(0, -12), slice(1, None), slice(0, 0)])
def test_damaged_json_is_no_text(cut):
    array = json_tensor.to_array(DESCRIBED.to_json())
    assert json_tensor.to_text(array[cut]) is None
    assert json_tensor.to_text(array.astype(np.float32)) is None


def test_json_that_takes_far_more_memory_than_its_tensor_is_damaged(
    monkeypatch,
):
    monkeypatch.setattr(json_tensor, "_MOST", 1000)
    assert json_tensor.to_text(json_tensor.to_array("a" * 1000))
    assert json_tensor.to_text(json_tensor.to_array("a" * 1001)) is None


def test_a_string_scalar_is_bytes():
    tensor = tensor_of(event_writer.text_value("tag", "text"))
    assert event_files.to_numpy(tensor) == b"text"
