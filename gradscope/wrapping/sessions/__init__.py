"""The steps of TensorFlow 1's graphs, which run in a session."""
