"""The warning of gradscope, which never stops a training."""

from __future__ import annotations


class GradscopeWarning(UserWarning):
    """A part of gradscope failed; the training is not affected."""
