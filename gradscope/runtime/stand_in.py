"""Standing in for one method of one object, and giving it back."""

from __future__ import annotations

from collections.abc import Callable

from gradscope.runtime import copies, lookalike, tracing


class MethodReplacement:
    """Stands in for a method of one instance: an attribute of the instance.

    The class, and all its other instances, stay as they are. So do copies and
    saved files of the object, see `copies`.

    Args:
        owner: The object.
        name: Name of the method.
        function: Is called in its place.
    """

    def __init__(self, owner, name: str, function: Callable):
        self.function = function
        #: How many copies of the owner were made while it was installed.
        self.copies = 0
        self._owner = owner
        self._name = name
        #: What the instance had in this place, None for the class's method.
        self.before = vars(owner).get(name)
        self._original = getattr(owner, name)
        self._method = lookalike.method(owner, name, self._original, self)

    @property
    def installed(self) -> bool:
        """Whether it is in the method's place now."""
        return vars(self._owner).get(self._name) is self._method

    def install(self) -> None:
        """Takes the method's place."""
        # Not through setattr, where Keras and TensorFlow track attributes.
        vars(self._owner)[self._name] = self._method
        copies.install(self._owner)

    def remove(self) -> None:
        """Gives the method its place back, unless somebody else took it."""
        if not self.installed:
            return
        del vars(self._owner)[self._name]
        if self.before is not None:  # set by somebody before
            vars(self._owner)[self._name] = self.before
        copies.remove(self._owner)

    def original(self, *arguments, **keywords):
        """Calls the method as it would be called here without us."""
        method = tracing.converted(self._original)
        return method(*arguments, **keywords)

    def __call__(self, *arguments, **keywords):
        return self.function(*arguments, **keywords)
