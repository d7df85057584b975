"""Networks that were reported on once, and that the rules were tuned on since."""
