"""One step: whether it is recorded, what is measured, in which order."""
