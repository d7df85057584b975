"""A model whose layers are switched between training and inference one by one.

The mode of a layer is a variable: the model is traced twice (all that cannot
be switched in training mode, and in inference mode) and not once a layer.
"""

from __future__ import annotations

import contextlib
import inspect
import math
import time

import tensorflow as tf

from gradscope.evaluating import probe
from gradscope.evaluating.traced_program import Program
from gradscope.runtime import tf_variables
from gradscope.runtime.stand_in import MethodReplacement

#: What layers that draw random numbers have in the names of their classes.
_RANDOM = ("Dropout", "Noise")


class LayerModes:
    """The loss of one batch, as a program, and its switches.

    Attributes:
        layers: Those that can be switched, in forward order.
        modes: A variable for each: whether it is in training mode.
    """

    def __init__(self, model, batch: list):
        """Traces a model in both modes.

        Args:
            model: A compiled model.
            batch: Tensors: inputs, targets and weights of the examples.
        """
        library = probe._library(model)
        self.layers = switchable(model)
        self.modes = [tf.Variable(True, trainable=False) for _ in self.layers]
        order: list[int] = []

        def trace(training: bool) -> Program:
            with contextlib.ExitStack() as stack:
                stack.enter_context(probe._generators_restored())
                stack.enter_context(
                    probe._python_restored(model, library.__name__)
                )
                for number, layer in enumerate(self.layers):
                    stack.enter_context(self._switch(number, layer, order))
                return Program(
                    lambda: probe._loss(model, batch, training),
                    autograph=library.__name__ == "tf_keras",
                )

        self._programs = {mode: trace(mode) for mode in (True, False)}
        # In the order of their calls; what is not called has no effect.
        called = list(dict.fromkeys(order))
        self.layers = [self.layers[number] for number in called]
        self.modes = [self.modes[number] for number in called]
        self._copies = {
            mode: program.copy() for mode, program in self._programs.items()
        }
        self._start = {
            mode: [(v, v.read_value()) for v in program.variables]
            for mode, program in self._programs.items()
        }

    @contextlib.contextmanager
    def _switch(self, number: int, layer, order: list[int]):
        mode = self.modes[number]

        def call(*arguments, **keywords):
            order.append(number)
            keywords.pop("training", None)

            def run(training: bool):
                return stand_in.original(
                    *arguments, **keywords, training=training
                )

            return tf.cond(mode, lambda: run(True), lambda: run(False))

        stand_in = MethodReplacement(layer, "call", call)
        stand_in.install()
        try:
            yield
        finally:
            stand_in.remove()

    def loss(self, training: bool, modes: list[bool], statistics=()) -> float:
        """Computes the loss from the state that the model has now.

        Args:
            training: Mode of all that cannot be switched.
            modes: Of each layer.
            statistics: Pairs of a variable and what it shall hold instead.
        """
        copy = self._copies[training]
        for variable, value in self._start[training]:
            copy.assign(variable, value)
        self._set(copy, modes)
        for variable, value in statistics:
            if copy.has(variable):
                copy.assign(variable, value)
        result, _ = copy()
        return float(result)

    def updated(
        self,
        variables: list,
        times: int = 1,
        *,
        double: bool = False,
        seconds: float = math.inf,
    ) -> list | None:
        """Returns what some variables hold after steps of training mode on the
        batch, with the weights as they are.

        Args:
            variables: `tf.Variable`s.
            times: How many steps.
            double: Whether to compute in float64.
            seconds: After so many it gives up and returns None.

        Raises:
            NoDouble: If that is wanted and cannot be.
        """
        program = self._programs[True]
        copy = program.copy(double=double)
        self._set(copy, [True] * len(self.modes))
        end = time.monotonic() + seconds
        for _ in range(times):
            copy()
            if time.monotonic() > end:
                return None
        return [
            copy.value(v) if copy.has(v) else v.read_value() for v in variables
        ]

    def _set(self, copy, modes: list[bool]) -> None:
        for variable, mode in zip(self.modes, modes, strict=True):
            copy.assign(variable, mode)


def switchable(model) -> list:
    """Returns the layers of a model that compute something else in training
    than in inference, and hold no other layers."""
    found = [
        layer
        for layer in model._flatten_layers(include_self=False)
        if "training" in inspect.signature(layer.call).parameters
        and not list(layer._flatten_layers(include_self=False))
        and not type(layer).__name__.endswith("Cell")  # called in a loop
        and _has_modes(layer)
    ]
    return list({id(layer): layer for layer in found}.values())


def is_batch_norm(layer) -> bool:
    """Returns whether a layer keeps moving statistics as Keras does."""
    return all(
        hasattr(layer, name)
        for name in ("moving_mean", "moving_variance", "momentum")
    )


def statistics(layer) -> list:
    """Returns the variables of a batch norm's mean and variance."""
    return [
        tf_variables.tf_variable(v)
        for v in (layer.moving_mean, layer.moving_variance)
    ]


def _has_modes(layer) -> bool:
    if not type(layer).__module__.startswith(("keras", "tf_keras")):
        return True
    name = type(layer).__name__
    is_random = any(word in name for word in _RANDOM)
    return is_random or bool(layer.non_trainable_variables)
