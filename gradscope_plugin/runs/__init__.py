"""Reads recorded runs through TensorBoard's data provider."""
