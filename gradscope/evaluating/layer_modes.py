"""Switches single layers of a model between training and inference mode.

The mode of each layer is a variable, so two traces of the model are enough:
layers that cannot be switched are in training mode in the first, and in
inference mode in the second.
"""

from __future__ import annotations

import contextlib
import inspect
import math
import time
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from gradscope.evaluating import probe
from gradscope.evaluating.traced_program import Program
from gradscope.runtime import tf_variables
from gradscope.runtime.method_replacement import MethodReplacement

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Words in the class names of Keras layers that draw random numbers.
_RANDOM = ("Dropout", "Noise")


class LayerModes:
    """The loss of one batch, with a switch for the mode of each layer.

    Attributes:
        layers: The layers that can be switched, in forward order.
        modes: A bool variable for each layer, true in training mode.
    """

    def __init__(self, model: Any, batch: list):
        """Trace a model in both modes.

        Args:
            model: A compiled Keras model.
            batch: Inputs, targets and weights of the examples, as tensors or
                None.
        """
        library = probe.keras_library(model)
        self.layers = switchable_layers(model)
        self.modes = [tf.Variable(True, trainable=False) for _ in self.layers]
        order: list[int] = []

        def trace(training: bool) -> Program:
            with contextlib.ExitStack() as stack:
                stack.enter_context(probe.restore_generators())
                stack.enter_context(
                    probe.restore_layers(model, library.__name__)
                )
                for number, layer in enumerate(self.layers):
                    stack.enter_context(self._switch(number, layer, order))
                return Program(
                    lambda: probe.model_loss(model, batch, training),
                    autograph=library.__name__ == "tf_keras",
                )

        self._programs = {mode: trace(mode) for mode in (True, False)}
        # In the order of their calls. Layers that are not called are dropped,
        # since their mode has no effect.
        called = list(dict.fromkeys(order))
        self.layers = [self.layers[number] for number in called]
        self.modes = [self.modes[number] for number in called]
        self._copies = {
            mode: program.copy() for mode, program in self._programs.items()
        }
        self._initial_values = {
            mode: [(v, v.read_value()) for v in program.variables]
            for mode, program in self._programs.items()
        }

    @contextlib.contextmanager
    def _switch(self, number: int, layer, order: list[int]):
        mode = self.modes[number]

        def call(*arguments, **keywords):
            order.append(number)
            # This is the mode of the whole model. The layer's own variable
            # takes its place.
            keywords.pop("training", None)

            def run(training: bool):
                return replacement.original(
                    *arguments, **keywords, training=training
                )

            return tf.cond(mode, lambda: run(True), lambda: run(False))

        replacement = MethodReplacement(layer, "call", call)
        replacement.install()
        try:
            yield
        finally:
            replacement.remove()

    def loss(
        self,
        training: bool,
        modes: list[bool],
        statistics: Iterable[tuple[tf.Variable, Any]] = (),
    ) -> float:
        """Compute the loss, from the model's state when it was traced.

        Args:
            training: Mode of layers that cannot be switched.
            modes: Mode of each of `layers`; True is training.
            statistics: Pairs of a variable and a value to compute with. Of
                several values for a variable the last one counts.
        """
        copy = self._copies[training]
        # Training mode moves statistics and the states of seeds. From the same
        # start every loss draws the same dropout masks, so that only the modes
        # make a difference.
        for variable, value in self._initial_values[training]:
            copy.assign(variable, value)
        self._set(copy, modes)
        for variable, value in statistics:
            if copy.has(variable):
                copy.assign(variable, value)
        result, _ = copy()
        return float(result)

    def run_training_mode(
        self,
        variables: list[tf.Variable],
        times: int = 1,
        *,
        double: bool = False,
        seconds: float = math.inf,
    ) -> list[tf.Tensor] | None:
        """Run forward passes in training mode, at fixed weights.

        Args:
            variables: Variables whose values are returned, such as moving
                statistics.
            times: Number of forward passes.
            double: Whether to compute in float64.
            seconds: Time limit, in seconds.

        Returns:
            The value of each variable afterwards, or None where the time limit
            was exceeded.

        Raises:
            NoDouble: If the program cannot compute in float64.
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


def switchable_layers(model: Any) -> list:
    """List the layers that compute differently in training and inference.

    Layers that contain other layers are left out.
    """
    layers = [
        layer
        # The public `layers` lists the direct layers only, and not those of a
        # model within the model.
        for layer in model._flatten_layers(include_self=False)
        if "training" in inspect.signature(layer.call).parameters
        and not list(layer._flatten_layers(include_self=False))
        and not type(layer).__name__.endswith("Cell")  # called in a loop
        and _has_modes(layer)
    ]
    # A layer that is used twice is in the list twice.
    return list({id(layer): layer for layer in layers}.values())


def is_batch_norm(layer: Any) -> bool:
    """Test whether a layer has the moving statistics of Keras' batch norm."""
    return all(
        hasattr(layer, name)
        for name in ("moving_mean", "moving_variance", "momentum")
    )


def moving_statistics(layer: Any) -> list[tf.Variable]:
    """List a batch norm's variables: moving mean and moving variance."""
    return [
        tf_variables.tf_variable(v)
        for v in (layer.moving_mean, layer.moving_variance)
    ]


def _has_modes(layer) -> bool:
    # A layer of a user does with `training` what it likes. Many layers of Keras
    # take it only to hand it on, or ignore it. Of these, the ones with two
    # modes draw random numbers or have a state.
    if not type(layer).__module__.startswith(("keras", "tf_keras")):
        return True
    name = type(layer).__name__
    is_random = any(word in name for word in _RANDOM)
    return is_random or bool(layer.non_trainable_variables)
