"""Networks that the rules were not tuned on."""
