"""Rules about the initial weights, and about which of them are trained."""
