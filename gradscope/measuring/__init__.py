"""Measures gradients, weights and activations: functions without state."""
