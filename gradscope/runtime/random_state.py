"""What Python code draws from while it is traced."""

from __future__ import annotations

import contextlib
import random

import numpy as np

from gradscope.runtime import tracing
from gradscope.runtime.stand_in import MethodReplacement


class PythonRandomState:
    """Has the second of two traces draw what the first one drew.

    Of random operations of TensorFlow that would be their seeds: in tf_keras a
    layer gives each operation that is traced a seed of its own.

    Args:
        model: A Keras model.
    """

    def __init__(self, model):
        self._model = model
        generators = [
            getattr(layer, "_random_generator", None)
            for layer in model._flatten_layers()
        ]
        self._generators = [
            g for g in generators if getattr(g, "_seed", None) is not None
        ]
        self._states = self._now()
        self._graph = None

    @contextlib.contextmanager
    def watched(self):
        """A place for the first trace. TensorFlow makes two of it where it
        creates variables, and goes on with the second."""
        # A program of Keras 3 holds the method that the model had when it was
        # made. Its layers keep their seeds in variables.
        stand_in = MethodReplacement(self._model, "train_step", lambda *a: None)

        def train_step(*arguments, **keywords):
            self._begin(tracing.current_graph())
            return stand_in.original(*arguments, **keywords)

        stand_in.function = train_step
        stand_in.install()
        try:
            yield
        finally:
            stand_in.remove()

    @contextlib.contextmanager
    def again(self):
        """A place for the second trace; afterwards all is as before it."""
        now = self._now()
        self._set(self._states)
        try:
            yield
        finally:
            self._set(now)

    def _begin(self, graph) -> None:
        graphs = tracing.outermost_first(graph)
        functions = [one for one in graphs if hasattr(one, "captures")]
        # A loop may trace its body twice in one graph.
        if functions and functions[0] is not self._graph:
            self._graph, self._states = functions[0], self._now()

    def _now(self) -> tuple:
        seeds = [g._seed for g in self._generators]
        return random.getstate(), np.random.get_state(), seeds

    def _set(self, states: tuple) -> None:
        of_python, of_numpy, seeds = states
        random.setstate(of_python)
        np.random.set_state(of_numpy)
        for generator, seed in zip(self._generators, seeds, strict=True):
            generator._seed = seed
