"""The checksum of event files, against those of the standard and others."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tensorboard.compat.tensorflow_stub import pywrap_tensorflow

from gradscope.reading import checksum


@pytest.mark.parametrize(
    "data, crc",
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        # RFC 3720, appendix B.4.
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ],
)
def test_it_is_that_of_the_standard(data, crc):
    assert checksum.crc32c(data) == crc


@given(st.integers(0, 3 * checksum._AT_ONCE), st.integers(0, 2**32 - 1))
@example(checksum._FEW - 1, 0)
@example(checksum._FEW, 0)
@example(checksum._PLACES, 0)
@example(checksum._PLACES * checksum._BLOCKS, 0)
@example(checksum._PLACES * checksum._BLOCKS + 1, 0)
@example(checksum._AT_ONCE, 0)
@example(checksum._AT_ONCE + 3, 0)
@example(3 * checksum._AT_ONCE, 0)
def test_any_length_has_the_checksum_that_tensorboard_computes(length, seed):
    data = np.random.default_rng(seed).bytes(length)
    expected = pywrap_tensorflow.masked_crc32c(data)
    assert checksum.masked_crc(data) == expected


@pytest.mark.parametrize("length", [1, 63, 64, 300, 5000, 70_000])
def test_every_bit_of_the_data_counts(length):
    random = np.random.default_rng(length)
    data = bytearray(random.bytes(length))
    whole = checksum.crc32c(bytes(data))
    for bit in random.integers(0, 8 * length, 50):
        data[bit // 8] ^= 1 << bit % 8
        assert checksum.crc32c(bytes(data)) != whole
        data[bit // 8] ^= 1 << bit % 8
    assert checksum.crc32c(bytes(data)) == whole
