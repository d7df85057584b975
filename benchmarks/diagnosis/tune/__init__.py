"""Networks that the rules were tuned on."""
