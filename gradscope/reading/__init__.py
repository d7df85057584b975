"""Reads event files into a `Record`; needs no TensorFlow."""
