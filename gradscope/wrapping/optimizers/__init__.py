"""Where each kind of optimizer is observed: a seam, and its call."""
