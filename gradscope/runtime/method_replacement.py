"""Replaces one method of one object, and gives it back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradscope.runtime import copies, same_signature, tracing


class MethodReplacement:
    """Replacement of a method of one object, by an attribute of the object.

    The class, and all its other instances, stay as they are. So do copies and
    saved files of the object, see `copies`.

    Args:
        owner: The object.
        name: Name of the method.
        function: Called in its place.
    """

    def __init__(self, owner: object, name: str, function: Callable):
        self.function = function
        #: How many copies of the owner were made while it was installed.
        self.copies = 0
        self._owner = owner
        self._name = name
        #: The object's attribute of this name; None if it had only the class's.
        self.before = vars(owner).get(name)
        self._original = getattr(owner, name)
        self._method = same_signature.method(owner, name, self._original, self)

    @property
    def installed(self) -> bool:
        """Whether the replacement is in the method's place now."""
        return vars(self._owner).get(self._name) is self._method

    def install(self) -> None:
        """Put the replacement in the method's place."""
        # Not through setattr, where Keras and TensorFlow track attributes.
        vars(self._owner)[self._name] = self._method
        copies.install(self._owner)

    def remove(self) -> None:
        """Give the method back, unless it was replaced again by others."""
        if not self.installed:
            return
        del vars(self._owner)[self._name]
        if self.before is not None:  # an attribute of the user's
            vars(self._owner)[self._name] = self.before
        copies.remove(self._owner)

    def original(self, *arguments: Any, **keywords: Any) -> Any:
        """Call the method as it would be called here without gradscope."""
        method = tracing.convert_with_autograph(self._original)
        return method(*arguments, **keywords)

    def __call__(self, *arguments, **keywords):
        return self.function(*arguments, **keywords)
