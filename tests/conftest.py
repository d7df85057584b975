"""Settings of all tests."""

import gc
import os

# Before anything imports TensorFlow: only its fatal errors are shown.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import hypothesis
import pytest

# The first example of a test traces and compiles; the others do not.
hypothesis.settings.register_profile(
    "gradscope", deadline=None, max_examples=40, derandomize=True
)
hypothesis.settings.load_profile("gradscope")


@pytest.fixture(scope="module", autouse=True)
def garbage():
    """Graphs are cycles, and large: a worker had 9 GB at its end."""
    yield
    gc.collect()
