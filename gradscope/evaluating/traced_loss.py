"""Traces the loss of a model or function on one batch, with its gradients."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from gradscope.evaluating import probe
from gradscope.evaluating.traced_program import Program
from gradscope.runtime import tf_variables, tracing
from gradscope.runtime.described_variables import DescribedVariables


class TracedLoss:
    """A traced loss with its gradients.

    Attributes:
        program: Returns the loss and the gradients of `trained`.
        trained: The `tf.Variable`s with gradients, in forward order.
        untrained: The other variables that the loss uses, in forward order.
        descriptions: Names, layers and shapes of `trained`, then of
            `untrained`.
        is_random: Whether the loss draws random numbers with a state that is
            not in a variable.
    """

    def __init__(
        self, name: str, model_or_function: Any, batch: list, training: bool
    ):
        """Trace the loss.

        Args:
            name: Name of the argument, for messages.
            model_or_function: A compiled Keras model, a function that returns
                its loss, or a pair of a function and its variables.
            batch: Inputs, targets and weights of the examples, or None.
            training: Mode of a Keras model.

        Raises:
            TypeError: If `model_or_function` is none of these.
            ValueError: If the loss is not one number, or depends on no
                trainable variable.
        """
        function, variables = (
            model_or_function
            if isinstance(model_or_function, tuple)
            else (model_or_function, ())
        )
        is_model = hasattr(function, "_flatten_layers")
        if not is_model and not callable(function):
            raise TypeError(
                f"`{name}` must be a compiled Keras model, a function that "
                "returns its loss, or a pair (function, variables), got "
                f"{type(function).__name__}."
            )
        trace = _trace_model if is_model else _trace_function
        self.trained, variables = [], list(variables)

        def with_gradients(loss):
            with tf.GradientTape() as tape:
                value = tf.convert_to_tensor(loss())
            # A rank of None is known only when the program runs.
            if value.shape.rank not in (0, None):
                raise ValueError(
                    f"the loss of `{name}` must be one number, got a tensor of "
                    f"shape {value.shape}. Take its mean: "
                    "tf.reduce_mean(loss)."
                )
            self.trained = [
                tf_variables.tf_variable(variable)
                for variable in variables or tape.watched_variables()
            ]
            # The gradient of an embedding is a `tf.IndexedSlices`, which may
            # contain a row several times; as a tensor these are summed.
            return value, [
                None if g is None else tf.convert_to_tensor(g)
                for g in tape.gradient(value, self.trained)
            ]

        with probe.restore_generators():
            self.program = trace(function, batch, training, with_gradients)
        self._put_in_order(
            name, [*variables, *getattr(function, "variables", ())]
        )
        self.is_random = tracing.has_program_state(self.program.graph)

    def _put_in_order(self, name: str, keras_variables: list) -> None:
        if not self.trained:
            raise ValueError(
                f"the loss of `{name}` depends on no trainable variable, so no "
                "gradient can be compared. Read the variables inside the "
                "function, or pass a pair (function, variables)."
            )
        graph = self.program.graph
        self._order = tf_variables.forward_order(self.trained, graph)
        self.trained = [self.trained[index] for index in self._order]
        trained_ids = {id(variable) for variable in self.trained}
        untrained = [
            v for v in self.program.variables if id(v) not in trained_ids
        ]
        # The graph lists them in no certain order.
        untrained.sort(key=lambda variable: variable.name)
        order = tf_variables.forward_order(untrained, graph)
        self.untrained = [untrained[index] for index in order]
        # A Keras variable has a path, which its `tf.Variable` may not have.
        keras = {id(tf_variables.tf_variable(v)): v for v in keras_variables}
        described = DescribedVariables.of(
            [keras.get(id(v), v) for v in self.trained]
        )
        # The names of trained ones do not depend on the untrained ones.
        self.descriptions = (
            *described.rows,
            *described.describe_beside(
                [keras.get(id(v), v) for v in self.untrained]
            ),
        )

    def gradients(self, results: list) -> list:
        """Sort the gradients that the program returned, as `trained` is."""
        return [results[index] for index in self._order]


def _trace_model(model, batch, training: bool, with_gradients) -> Program:
    library = probe.keras_library(model)
    probe.check_ready(model)
    floats = library.backend.floatx()
    batch = [probe.to_tensors(part, floats) for part in batch]
    with probe.restore_layers(model, library.__name__):
        return Program(
            lambda: with_gradients(
                lambda: probe.model_loss(model, batch, training)
            ),
            # Keras 3 runs its models without AutoGraph, tf_keras with it.
            autograph=library.__name__ == "tf_keras",
        )


def _trace_function(function, batch, training: bool, with_gradients) -> Program:
    batch = [probe.to_tensors(part, "float32") for part in batch]
    batch = [part for part in batch if part is not None]
    # A `tf.function` called in a trace stays a separate graph, whose operations
    # the search for reads would not see.
    function = _convert(getattr(function, "python_function", function))
    return Program(lambda: with_gradients(lambda: function(*batch)))


def _convert(function):
    """Convert a function with AutoGraph, as `tf.function` does; return it
    unchanged where its source is not available."""
    try:
        return tf.autograph.to_graph(function)
    except Exception:
        return function
