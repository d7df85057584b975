"""Repeats the random draws that Python code makes while it is traced."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from gradscope.runtime import tracing
from gradscope.runtime.method_replacement import MethodReplacement

if TYPE_CHECKING:
    import keras


class PythonRandomState:
    """Makes a second trace draw the random numbers of the first one.

    Seeds of TensorFlow's random operations are among these draws: in tf_keras,
    a layer draws a new seed for each operation that is traced.

    Args:
        model: A Keras model.
    """

    def __init__(self, model: keras.Model):
        self._model = model
        generators = [
            getattr(layer, "_random_generator", None)
            for layer in model._flatten_layers()
        ]
        self._generators = [
            g for g in generators if getattr(g, "_seed", None) is not None
        ]
        self._states = self._read()
        self._graph = None

    @contextlib.contextmanager
    def remember(self) -> Iterator[None]:
        """Remember the random state with which the first trace begins.

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
        return random.getstate(), np.random.get_state(), seeds

    def _set(self, states: tuple) -> None:
        of_python, of_numpy, seeds = states
        random.setstate(of_python)
        np.random.set_state(of_numpy)
        for generator, seed in zip(self._generators, seeds, strict=True):
            generator._seed = seed
