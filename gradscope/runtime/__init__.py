"""Graphs, operations, variables and replicas of TensorFlow."""
