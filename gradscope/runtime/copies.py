"""Copies and saved files of an observed object know nothing of us.

Copied, pickled or saved, an object is what it would be without gradscope, also
where gradscope is not installed. What does that asks the object itself, by
methods that are stood in for as long as any other of its methods is.
"""

from __future__ import annotations

import contextlib

from gradscope.runtime import lookalike


class CopyMethod:
    """Stands in for a method that copies or saves its object.

    Args:
        owner: The object.
        name: Name of the method.
        around: Called with the owner, the method, and what that is called
            with.
    """

    #: No instance has a method of this kind.
    before = None

    def __init__(self, owner, name: str, around):
        self._owner = owner
        self._around = around
        self.original = getattr(owner, name)

    def __call__(self, *arguments, **keywords):
        return self._around(self._owner, self.original, *arguments, **keywords)


def install(owner) -> None:
    """Looks after the copies of an object whose methods are stood in for."""
    for name, around in _METHODS.items():
        if name not in vars(owner) and hasattr(type(owner), name):
            stand_in = CopyMethod(owner, name, around)
            method = lookalike.method(owner, name, stand_in.original, stand_in)
            vars(owner)[name] = method


def remove(owner) -> None:
    """Ends that if none of its methods is stood in for any more."""
    if _standing(vars(owner)):
        return
    for name in _METHODS:
        if isinstance(lookalike.stand_in_of(vars(owner).get(name)), CopyMethod):
            del vars(owner)[name]


def _standing(attributes: dict) -> dict:
    """Returns the stand-ins among attributes of an object by name."""
    found = {n: lookalike.stand_in_of(v) for n, v in attributes.items()}
    return {
        name: stand_in
        for name, stand_in in found.items()
        if stand_in is not None and not isinstance(stand_in, CopyMethod)
    }


def _reduced(owner, original, protocol):
    """Stands in for `__reduce_ex__`, of which `copy` and `pickle` ask the
    object and not its class."""
    _count(owner)
    # Not away meanwhile: it may take a while to save a model in a thread of
    # its own, and eager steps go on.
    reduced = original(protocol)
    if not isinstance(reduced, tuple) or len(reduced) < 3:
        return reduced
    function, arguments, state, *rest = reduced
    if isinstance(state, dict):  # often the object's own attributes
        state = _without_us(state)
    return function, arguments, state, *rest


def _copied(owner, original, memo):
    """Stands in for `__deepcopy__`, which may not ask `__reduce_ex__`."""
    _count(owner)
    with _away(owner):
        return original(memo)


def _saved(owner, original, save_type="checkpoint", **keywords):
    """Stands in for what TensorFlow asks for the parts of a saved object: in a
    SavedModel these are functions too, and a method may be one."""
    if save_type != "savedmodel":
        return original(save_type, **keywords)
    with _away(owner):
        return original(save_type, **keywords)


@contextlib.contextmanager
def _away(owner):
    """A place where an object has all its own methods."""
    standing = _standing(vars(owner)).values()
    for stand_in in standing:
        stand_in.remove()
    try:
        yield
    finally:
        for stand_in in standing:
            stand_in.install()


def _count(owner) -> None:
    for stand_in in _standing(vars(owner)).values():
        stand_in.copies += 1


def _without_us(attributes: dict) -> dict:
    """Returns attributes of an object as they would be without gradscope."""
    own = {}
    for name, value in attributes.items():
        stand_in = lookalike.stand_in_of(value)
        value = value if stand_in is None else stand_in.before
        if stand_in is None or value is not None:
            own[name] = value
    return own


_METHODS = {
    "__reduce_ex__": _reduced,
    "__deepcopy__": _copied,
    "_trackable_children": _saved,
}
