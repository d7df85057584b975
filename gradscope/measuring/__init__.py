"""What is measured: pure functions of gradients and weights, no state."""
