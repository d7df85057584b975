"""One of two functions that are held beside each other: its loss on one batch,
and the gradient of that, as a program."""

from __future__ import annotations

import tensorflow as tf

from gradscope.evaluating import probe
from gradscope.evaluating.traced_program import Program
from gradscope.runtime import tf_variables, tracing


class TracedLoss:
    """A traced loss with its gradient.

    Attributes:
        program: Returns the loss and the gradients of `trained`.
        trained: The `tf.Variable`s that the gradient is of, in forward order.
        others: The other variables that it uses.
        described: Names, layers and shapes of both, in that order.
        is_random: Whether it draws numbers that no variable decides on.
    """

    def __init__(self, name: str, given, batch: list, training: bool):
        """Traces the loss.

        Args:
            name: That of the argument, for messages.
            given: A compiled Keras model, a function that returns its loss, or
                a pair of that and its variables.
            batch: Inputs, targets and weights of the examples, or None.
            training: Mode of a Keras model.
        """
        function, variables = given if isinstance(given, tuple) else (given, ())
        is_model = hasattr(function, "_flatten_layers")
        if not is_model and not callable(function):
            raise TypeError(
                f"`{name}` must be a compiled Keras model, a function that "
                "returns its loss, or a pair (function, variables), got "
                f"{type(function).__name__}."
            )
        trace = _trace_model if is_model else _trace_function
        self.trained, named = [], list(variables)

        def with_gradients(loss):
            with tf.GradientTape() as tape:
                value = tf.convert_to_tensor(loss())
            if value.shape.rank not in (0, None):
                raise ValueError(
                    f"the loss of `{name}` must be one number, got a tensor of "
                    f"shape {value.shape}. Take its mean: "
                    "tf.reduce_mean(loss)."
                )
            chosen = named or tape.watched_variables()
            self.trained = [tf_variables.tf_variable(one) for one in chosen]
            return value, [
                None if g is None else tf.convert_to_tensor(g)
                for g in tape.gradient(value, self.trained)
            ]

        with probe._generators_restored():
            self.program = trace(function, batch, training, with_gradients)
        self._put_in_order(name, [*named, *getattr(function, "variables", ())])
        self.is_random = tracing.has_program_state(self.program.graph)

    def _put_in_order(self, name: str, known: list) -> None:
        if not self.trained:
            raise ValueError(
                f"the loss of `{name}` depends on no trainable variable, so "
                "there is no gradient to compare. Read the variables inside "
                "of the function, or give them: (function, variables)."
            )
        graph = self.program.graph
        self._order = tf_variables.forward_order(self.trained, graph)
        self.trained = [self.trained[index] for index in self._order]
        own = {id(variable) for variable in self.trained}
        others = [v for v in self.program.variables if id(v) not in own]
        # In an order of their own they come out of a set.
        others.sort(key=lambda variable: variable.name)
        order = tf_variables.forward_order(others, graph)
        self.others = [others[index] for index in order]
        # Keras variables know their path, what they hold does not always.
        keras = {id(tf_variables.tf_variable(v)): v for v in known}
        used = [keras.get(id(v), v) for v in (*self.trained, *self.others)]
        count = len(self.trained)
        trained = tf_variables.describe(used[:count])
        self.described = (*trained, *tf_variables.describe(used)[count:])

    def gradients(self, found: list) -> list:
        """Returns the gradients of what a program returned in the order of
        `trained`."""
        return [found[index] for index in self._order]


def _trace_model(model, batch, training: bool, with_gradients) -> Program:
    library = probe._library(model)
    probe._check(model)
    floats = library.backend.floatx()
    batch = [probe._tensors(part, floats) for part in batch]
    with probe._python_restored(model, library.__name__):
        return Program(
            lambda: with_gradients(lambda: probe._loss(model, batch, training)),
            # Keras 3 runs its models without AutoGraph, tf_keras with it.
            autograph=library.__name__ == "tf_keras",
        )


def _trace_function(function, batch, training: bool, with_gradients) -> Program:
    batch = [probe._tensors(part, "float32") for part in batch]
    batch = [part for part in batch if part is not None]
    # What is traced inside of a trace is a function of its own, which nobody
    # can look into.
    function = _converted(getattr(function, "python_function", function))
    return Program(lambda: with_gradients(lambda: function(*batch)))


def _converted(function):
    """Returns a function whose `if` and `for` may be of tensors, as they may
    in a `tf.function`; the function itself where there is no source of it."""
    try:
        return tf.autograph.to_graph(function)
    except Exception:
        return function
