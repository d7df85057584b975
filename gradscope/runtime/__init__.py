"""Graphs, operations, variables and replicas of TensorFlow."""

import tensorflow  # noqa: F401  (whose version is looked at)

from gradscope.runtime import versions

# Here, since the modules of this folder import parts of TensorFlow that an
# older one lacks or has elsewhere.
versions.require("tensorflow")
