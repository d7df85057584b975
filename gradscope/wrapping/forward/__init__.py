"""Finds and describes the forward pass of a step."""
