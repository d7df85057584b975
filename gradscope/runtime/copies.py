"""Keeps gradscope out of copies and saved files of an observed object.

An object that is copied, pickled or saved gives what it would give without
gradscope, so that a copy or a file also works where gradscope is not installed.
The methods that copy and save belong to the object, and are replaced for as
long as any other of its methods is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from gradscope.runtime import same_signature


class CopyMethod:
    """Replacement of a method that copies or saves its object.

    Args:
        owner: The object.
        name: Name of the method.
        around: Called with the owner, the original method, and the arguments
            of the call.
    """

    #: No instance has a method of this kind.
    before = None

    def __init__(self, owner: object, name: str, around: Callable):
        self._owner = owner
        self._around = around
        self.original = getattr(owner, name)

    def __call__(self, *arguments, **keywords):
        return self._around(self._owner, self.original, *arguments, **keywords)


def install(owner: object) -> None:
    """Replace the methods that copy an object and save its state."""
    for name, around in _METHODS.items():
        if name not in vars(owner) and hasattr(type(owner), name):
            replacement = CopyMethod(owner, name, around)
            method = same_signature.method(
                owner, name, replacement.original, replacement
            )
            vars(owner)[name] = method


def remove(owner: object) -> None:
    """Give these methods back once no other method is replaced."""
    if _replacements(vars(owner)):
        return
    for name in _METHODS:
        if isinstance(
            same_signature.replacement_of(vars(owner).get(name)), CopyMethod
        ):
            del vars(owner)[name]


def _replacements(attributes: dict) -> dict:
    """Replacements among an object's attributes, by name, without those of
    this module."""
    replacements = {
        n: same_signature.replacement_of(v) for n, v in attributes.items()
    }
    return {
        name: replacement
        for name, replacement in replacements.items()
        if replacement is not None and not isinstance(replacement, CopyMethod)
    }


def _reduce(owner, original, protocol):
    """Replace `__reduce_ex__`, which `copy` and `pickle` look up in the object
    and not in its class."""
    _count_copy(owner)
    # The replacements stay installed here: saving a model may take a while in a
    # thread of its own, and eager steps go on meanwhile.
    reduced = original(protocol)
    # A string is the name of a global, and a pair has no state: neither holds a
    # method of ours.
    if not isinstance(reduced, tuple) or len(reduced) < 3:
        return reduced
    function, arguments, state, *items = reduced
    if isinstance(state, dict):  # often the object's own attributes
        state = _original_attributes(state)
    return function, arguments, state, *items


def _deepcopy(owner, original, memo):
    """Replace `__deepcopy__`, which may not call `__reduce_ex__`."""
    _count_copy(owner)
    with _replacements_removed(owner):
        return original(memo)


def _trackable_children(owner, original, save_type="checkpoint", **keywords):
    """Replace the method that lists the parts of an object to save: in a
    SavedModel, functions are among them, and a method may be one."""
    # A checkpoint holds variables only, and no method is one.
    if save_type != "savedmodel":
        return original(save_type, **keywords)
    with _replacements_removed(owner):
        return original(save_type, **keywords)


@contextlib.contextmanager
def _replacements_removed(owner) -> Iterator[None]:
    """Give an object all of its methods back for a while."""
    replacements = _replacements(vars(owner)).values()
    for replacement in replacements:
        replacement.remove()
    try:
        yield
    finally:
        for replacement in replacements:
            replacement.install()


def _count_copy(owner) -> None:
    for replacement in _replacements(vars(owner)).values():
        replacement.copies += 1


def _original_attributes(attributes: dict) -> dict:
    """Attributes of an object as they would be without gradscope."""
    originals = {}
    for name, value in attributes.items():
        replacement = same_signature.replacement_of(value)
        # Without an attribute from before, the class has the method, and a copy
        # needs no attribute either.
        value = value if replacement is None else replacement.before
        if replacement is None or value is not None:
            originals[name] = value
    return originals


# Each is looked up in the object before its class, so that an attribute takes
# effect.
_METHODS = {
    "__reduce_ex__": _reduce,
    "__deepcopy__": _deepcopy,
    "_trackable_children": _trackable_children,
}
