"""How often a finding is right: networks with known faults, and healthy ones."""
