"""Records frames: from a ring on the device or the host to event files."""
