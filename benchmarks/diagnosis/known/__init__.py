"""Networks that were new when the rules were reported on (2026-11-21)."""
