"""The warning of gradscope, which never stops a training."""

from __future__ import annotations


class GradscopeWarning(UserWarning):
    """A part of gradscope failed; the training is not affected.

    Examples:
        >>> import warnings
        >>> import gradscope
        >>> # In a test, to stop where something cannot be recorded:
        >>> warnings.simplefilter("error", gradscope.GradscopeWarning)
    """
