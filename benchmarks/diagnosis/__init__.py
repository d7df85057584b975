"""How often findings are right: networks with known faults, and healthy."""
