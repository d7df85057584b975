"""Finds variables that a layer holds and that Keras does not know.

Keras 3 tracks what `add_weight` makes, and no `tf.Variable` that is an
attribute of a layer or in a list of one: no optimizer ever gets it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from gradscope.format.model_facts import MOST_ITEMS, MOST_TEXT
from gradscope.runtime import tf_variables

#: Levels of lists and dictionaries in which variables are looked for.
_DEEPEST = 3


def find(layer: Any, trained: list[tf.Variable]) -> list[list]:
    """List the names and shapes of such variables, as JSON.

    Scalars are left out, since many are numbers that a callback sets.

    Args:
        layer: A Keras layer.
        trained: The variables that the optimizer trains.
    """
    listed = {
        id(tf_variables.tf_variable(variable))
        for variable in (*layer.variables, *trained)
    }
    held = {
        id(variable): variable
        for value in vars(layer).values()
        for variable in _variables_in(value, _DEEPEST)
        if id(variable) not in listed
    }
    return [
        [variable.name[:MOST_TEXT], list(map(int, variable.shape))]
        for variable in list(held.values())[:MOST_ITEMS]
    ]


def _variables_in(value: Any, depth: int) -> Iterator[tf.Variable]:
    """Find the `tf.Variable`s with a slope in an attribute's value."""
    if isinstance(value, tf.Variable):
        if value.trainable and value.dtype.is_floating and value.shape.rank:
            yield value
    elif depth and isinstance(value, Mapping):
        for part in value.values():
            yield from _variables_in(part, depth - 1)
    elif depth and isinstance(value, list | tuple):
        for part in value:
            yield from _variables_in(part, depth - 1)
