"""Compares `trainable` of a model's layers with its values in a trace."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gradscope.runtime.program_fingerprint import handle_id

if TYPE_CHECKING:
    import keras

#: How many layers a warning names at most.
_MOST_NAMES = 5

_CHANGED = (
    "`trainable` was changed after `compile`: {changed}. Keras keeps using the "
    "program that it traced before the change, with and without gradscope. "
    "Call `model.compile` again so that the change takes effect."
)


def flags(model: keras.Model) -> dict[int, tuple[bool, ...]]:
    """Collect `trainable` of each layer that has weights, and of its
    variables, by the layer's id."""
    return {
        id(layer): (layer.trainable, *(v.trainable for v in _flagged(layer)))
        for layer in model._flatten_layers()
        if layer.weights
    }


def changed_layers(
    model: keras.Model, traced: dict[int, tuple[bool, ...]]
) -> tuple[tuple[str, bool], ...]:
    """List the layers whose `trainable` has changed since a trace.

    Args:
        model: A Keras model.
        traced: Its `flags` when the program was traced that Keras runs.

    Returns:
        The name of each, and whether that program trains it.
    """
    current = flags(model)
    changed = {key for key in traced if traced[key] != current.get(key)}
    layers = _outermost(model, changed) if changed else ()
    return tuple((str(layer.name), not layer.trainable) for layer in layers)


def describe_change(layers: tuple[tuple[str, bool], ...]) -> str:
    """Describe the result of `changed_layers`, which must not be empty."""
    changes = [
        f"{name!r} is still {'' if is_trained else 'not '}trained"
        for name, is_trained in layers[:_MOST_NAMES]
    ]
    if len(layers) > _MOST_NAMES:
        changes.append(f"and {len(layers) - _MOST_NAMES} more layers")
    return _CHANGED.format(changed=", ".join(changes))


@contextlib.contextmanager
def as_traced(model: keras.Model, written: frozenset[int]) -> Iterator[None]:
    """Set `trainable` for a while to its values when a program was traced.

    Args:
        model: A Keras model.
        written: The handles of the variables that the program changes.
    """
    before = []

    def put(owner, value: bool) -> None:
        before.append((owner, vars(owner)["_trainable"]))
        # Not through the property, which also sets all layers inside.
        vars(owner)["_trainable"] = value

    try:
        for layer in model._flatten_layers():
            weights = {handle_id(weight) for weight in layer.weights}
            if weights:
                put(layer, not written.isdisjoint(weights))
            for variable in _flagged(layer):
                put(variable, handle_id(variable) in written)
        yield
    finally:
        # A variable of two layers is in the list twice; the first value is the
        # original one.
        for owner, value in reversed(before):
            vars(owner)["_trainable"] = value


def _flagged(layer) -> list:
    """Variables of a layer that have a `trainable` of their own, as in Keras
    3."""
    return getattr(layer, "_trainable_variables", [])


def _outermost(layer, changed: set):
    """Yield the changed layers that are not inside of another one."""
    if id(layer) in changed:
        yield layer
        return
    for inner in layer._flatten_layers(include_self=False, recursive=False):
        yield from _outermost(inner, changed)
