"""From the ring of a running step to event files."""
