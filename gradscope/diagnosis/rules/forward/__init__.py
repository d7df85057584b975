"""Rules about the layers of the forward pass."""
