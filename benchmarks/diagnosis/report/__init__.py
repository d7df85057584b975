"""Networks that nobody looked at while the rules were tuned."""
