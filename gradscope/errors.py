"""What gradscope warns with; it never stops a training."""

from __future__ import annotations


class GradscopeWarning(UserWarning):
    """Something of gradscope failed; training is not affected."""
