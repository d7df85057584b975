"""Makes methods that look like the methods they replace.

They have the same name, documentation and signature, which code that saves a
model asks for, and lead to what they call instead.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import types
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradscope.runtime.copies import CopyMethod
    from gradscope.runtime.method_replacement import MethodReplacement


def method(
    owner: object, name: str, original: Callable, replacement: Callable
) -> types.MethodType:
    """Make a bound method that calls `replacement`.

    Name, documentation and signature are those of the original, and the result
    is a plain method: code that saves a model asks for all of these.

    Args:
        owner: The object that gets the method as an attribute.
        name: Name of the method.
        original: The owner's method.
        replacement: Called in its place.
    """

    def called(self, *arguments, **keywords):
        if self is not owner:  # a copy that did not go through `copies`
            return getattr(type(self), name)(self, *arguments, **keywords)
        return replacement(*arguments, **keywords)

    functools.update_wrapper(called, original, updated=())
    del called.__wrapped__  # code that unwraps would call the original
    called.__name__ = name  # pickle looks the method up by this name
    with contextlib.suppress(TypeError, ValueError):
        called.__signature__ = _signature(original)
    # AutoGraph does not convert a function that has this attribute. Converting
    # gradscope's code would make tracing several times slower.
    called.autograph_info__ = {}
    called.replacement = replacement
    return types.MethodType(called, owner)


def replacement_of(value: object) -> MethodReplacement | CopyMethod | None:
    """Get the replacement behind an attribute of an object; None if the
    attribute is no method of gradscope's."""
    if not isinstance(value, types.MethodType):
        return None
    return getattr(value.__func__, "replacement", None)


def _signature(original: Callable) -> inspect.Signature:
    """Signature of a method, including `self`."""
    if inspect.ismethod(original):
        return inspect.signature(original.__func__)
    signature = inspect.signature(original)
    first = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    return signature.replace(parameters=[first, *signature.parameters.values()])
