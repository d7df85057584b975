"""`trainable` of a model's layers: as it was when something was traced."""

from __future__ import annotations

import contextlib

from gradscope.runtime.program_fingerprint import handle

#: As many layers are named.
_MOST_NAMES = 5

_CHANGED = (
    "`trainable` was changed after `compile`: {changed}. Keras goes on with "
    "the program that it traced before, with gradscope and without. Call "
    "`model.compile` again for the change to count."
)


def flags(model) -> dict[int, tuple]:
    """Returns what is trainable of each layer that has weights."""
    return {
        id(layer): (layer.trainable, *(v.trainable for v in _flagged(layer)))
        for layer in model._flatten_layers()
        if layer.weights
    }


def difference(model, traced: dict[int, tuple]) -> str | None:
    """Returns what to tell where `trainable` is otherwise than it was.

    Args:
        model: A Keras model.
        traced: Its `flags` when something was traced, with which Keras goes on.
    """
    now = flags(model)
    changed = {key for key in traced if traced[key] != now.get(key)}
    if not changed:
        return None
    layers = list(_outermost(model, changed))
    told = [
        f"{layer.name!r} is {'not ' * layer.trainable}trained"
        for layer in layers[:_MOST_NAMES]
    ]
    if len(layers) > _MOST_NAMES:
        told.append(f"and {len(layers) - _MOST_NAMES} more layers")
    return _CHANGED.format(changed=", ".join(told))


@contextlib.contextmanager
def as_trained(model, written: frozenset[int]):
    """Has `trainable` be for a while what it was when a program was traced.

    Args:
        model: A Keras model.
        written: The handles of the variables that the program changes.
    """
    before = []

    def put(owner, value: bool) -> None:
        before.append((owner, vars(owner)["_trainable"]))
        # Not through the property, which has all layers inside follow.
        vars(owner)["_trainable"] = value

    try:
        for layer in model._flatten_layers():
            weights = {handle(weight) for weight in layer.weights}
            if weights:
                put(layer, not written.isdisjoint(weights))
            for variable in _flagged(layer):
                put(variable, handle(variable) in written)
        yield
    finally:
        for owner, value in reversed(before):
            vars(owner)["_trainable"] = value


def _flagged(layer) -> list:
    """Returns the variables of a layer that have a flag of their own, as in
    Keras 3."""
    return getattr(layer, "_trainable_variables", [])


def _outermost(layer, changed: set):
    """Yields the changed layers that are not inside of another one."""
    if id(layer) in changed:
        yield layer
        return
    for inner in layer._flatten_layers(include_self=False, recursive=False):
        yield from _outermost(inner, changed)
