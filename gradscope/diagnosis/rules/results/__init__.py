"""Rules about outputs, loss and metrics."""
