"""Settings of all tests."""

import os

# Before anything imports TensorFlow: only its fatal errors are shown.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import hypothesis

# The first example of a test traces and compiles; the others do not.
hypothesis.settings.register_profile(
    "gradscope", deadline=None, max_examples=40, derandomize=True
)
hypothesis.settings.load_profile("gradscope")
