"""One step: whether it is recorded, and what is measured before and after."""
