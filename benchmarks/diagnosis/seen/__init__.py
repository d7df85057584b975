"""Networks that were reported on once; the rules were tuned on them since."""
