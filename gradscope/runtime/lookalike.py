"""Methods of ours that look like the ones that they stand in for."""

from __future__ import annotations

import contextlib
import functools
import inspect
import types
from collections.abc import Callable


def method(owner, name: str, original: Callable, stand_in: Callable):
    """Returns a bound method that calls `stand_in`.

    Name, documentation and signature are those of the original: whoever saves
    a model asks for these, and for a plain method.

    Args:
        owner: The object that it is to be an attribute of.
        name: Name of the method.
        original: The owner's own.
        stand_in: Is called in its place.
    """

    def called(self, *arguments, **keywords):
        if self is not owner:  # a copy, by other ways than `copies` knows of
            return getattr(type(self), name)(self, *arguments, **keywords)
        return stand_in(*arguments, **keywords)

    functools.update_wrapper(called, original, updated=())
    del called.__wrapped__  # whoever unwraps it would pass us by
    called.__name__ = name  # by which it is pickled
    with contextlib.suppress(TypeError, ValueError):
        called.__signature__ = _signature(original)
    # AutoGraph leaves a function with this attribute as it is. When it also
    # converted our code, tracing 104 variables took 26.6 s instead of 7.4.
    called.autograph_info__ = {}
    called.stand_in = stand_in
    return types.MethodType(called, owner)


def stand_in_of(value):
    """Returns what an attribute of an object stands in with, None if it is not
    a method of ours."""
    if not isinstance(value, types.MethodType):
        return None
    return getattr(value.__func__, "stand_in", None)


def _signature(original: Callable) -> inspect.Signature:
    """Returns the signature of a method with its `self`."""
    if inspect.ismethod(original):
        return inspect.signature(original.__func__)
    signature = inspect.signature(original)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    return signature.replace(parameters=[own, *signature.parameters.values()])
