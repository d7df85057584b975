"""Gives a second trace of a model the Python state of the first one.

The model's own program and the one that records are traced one after the other.
Both have to draw the same random numbers in Python, and to begin with the same
counts, or they would be two different programs.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from gradscope.runtime import tracing
from gradscope.runtime.method_replacement import MethodReplacement

if TYPE_CHECKING:
    import keras


#: Modules whose layers do not count in Python while they are traced.
_KERAS = ("keras", "tf_keras")


class PythonState:
    """Makes a second trace begin from the Python state of the first one.

    The state has two parts. A second trace draws the random numbers of the
    first one; seeds of TensorFlow's random operations are among these draws: in
    tf_keras, a layer draws a new seed for each operation that is traced. And
    the numbers and tensors are restored that the user's model and layers have
    as attributes: a `train_step` that counts its calls counts its traces.

    Args:
        model: A Keras model.
    """

    def __init__(self, model: keras.Model):
        self._model = model
        layers = list(model._flatten_layers())
        self._owners = [x for x in layers if not _is_of_keras(x)]
        generators = [getattr(x, "_random_generator", None) for x in layers]
        self._generators = [
            g for g in generators if getattr(g, "_seed", None) is not None
        ]
        self._states = self._read()
        self._graph = None

    @contextlib.contextmanager
    def remember(self) -> Iterator[None]:
        """Remember the state with which the first trace begins.

        TensorFlow traces a function twice if it creates variables, and goes on
        with the second trace; that one counts as the first here.
        """
        # In tf_keras only: a program of Keras 3 calls the method that the model
        # had when the program was made, and its layers keep their seeds in
        # variables.
        replacement = MethodReplacement(
            self._model, "train_step", lambda *a: None
        )

        def train_step(*arguments, **keywords):
            self._begin(tracing.current_graph())
            return replacement.original(*arguments, **keywords)

        replacement.function = train_step
        replacement.install()
        try:
            yield
        finally:
            replacement.remove()

    @contextlib.contextmanager
    def repeat(self) -> Iterator[None]:
        """Go back to the remembered state for the second trace.

        The present state returns when the context is left.
        """
        present_states = self._read()
        self._set(self._states)
        try:
            yield
        finally:
            self._set(present_states)

    def _begin(self, graph) -> None:
        graphs = tracing.outermost_first(graph)
        functions = [g for g in graphs if hasattr(g, "captures")]
        # A loop may trace its body twice in one graph.
        if functions and functions[0] is not self._graph:
            self._graph, self._states = functions[0], self._read()

    def _read(self) -> tuple:
        seeds = [g._seed for g in self._generators]
        numbers = [_numbers(owner) for owner in self._owners]
        return random.getstate(), np.random.get_state(), seeds, numbers

    def _set(self, state: tuple) -> None:
        of_python, of_numpy, seeds, numbers = state
        random.setstate(of_python)
        np.random.set_state(of_numpy)
        for generator, seed in zip(self._generators, seeds, strict=True):
            generator._seed = seed
        for owner, values in zip(self._owners, numbers, strict=True):
            current = _numbers(owner)
            # An attribute that is no number any more is left alone.
            vars(owner).update({n: values[n] for n in values if n in current})


def _is_of_keras(layer: object) -> bool:
    return type(layer).__module__.partition(".")[0] in _KERAS


def _numbers(owner: object) -> dict:
    """The attributes of an object that are numbers or tensors.

    Not `bool`: a layer may have one that says that its variables exist.
    """
    return {
        name: value
        for name, value in vars(owner).items()
        if isinstance(value, int | float | complex | np.number | tf.Tensor)
        and not isinstance(value, bool)
    }
