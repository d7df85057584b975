"""Finds the loss of a `train_step` that does not call `compute_loss`.

Such a step updates a metric of that name with its loss, or returns the loss
under that name, usually after the optimizer's call, when it is too late to
measure it. But the user's plain program was traced before: a tensor of the same
name and position in the program that records is the same tensor.
"""

from __future__ import annotations

import contextlib
import itertools
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

import tensorflow as tf

from gradscope.runtime import replicas, scopes, tracing
from gradscope.runtime.method_replacement import MethodReplacement

if TYPE_CHECKING:
    import keras

#: The last operation that computes the result of a metric, of two variables. (A
#: loss of tf_keras is the same quotient, of tensors.)
_MEAN = "DivNoNan"


class LoggedLoss:
    """Remembers which tensor of a graph a model logs as a loss.

    Args:
        model: A Keras model.
        fail: Called with an error of gradscope's.
        name: Name of the loss in the logs.
    """

    def __init__(
        self,
        model: keras.Model,
        fail: Callable[[Exception], None],
        name: str = "loss",
    ):
        self._fail = fail
        self._name = name
        self._place: tuple[str, int] | None = None
        # Graphs in which the loss was not found.
        self._without: weakref.WeakSet = weakref.WeakSet()
        self.replacements: list[MethodReplacement] = []
        if not has_own_train_step(model):
            return
        with contextlib.suppress(Exception):  # `metrics` may be the user's
            for metric in _metrics(model):
                # Keras adds a metric of this name to each model, too, but such
                # a `train_step` rarely updates that one.
                if metric.name == name:
                    self._replace(metric, "update_state", self._capture)
        # In tf_keras only. In Keras 3 the program holds the original method by
        # now; see `capture_logs`.
        self._replace(model, "train_step", after=self._capture_logs)

    @property
    def unknown(self) -> str:
        """Entry of `ForwardPass.unseen` where the loss was not found."""
        if self._place is not None:
            return (
                f"the loss: `train_step` computes the `{self._name}` that it "
                "logs only after the first of its optimizer steps"
            )
        return (
            f"the loss: `train_step` logs no `{self._name}` that gradscope "
            "can find"
        )

    def loss(self, graph: tf.Graph | None) -> tf.Tensor | None:
        """Find the loss in a graph that is being built; None if unknown.

        Of several steps in one graph the loss is known of all or of none: a
        missing one in between would look like one that became NaN.
        """
        if self._place is None or graph is None or graph in self._without:
            return None
        name, position = self._place
        for outer in reversed(tracing.outermost_first(graph)):
            with contextlib.suppress(KeyError):
                tensor = outer.get_tensor_by_name(name)
                # A name alone may be that of another step: TensorFlow numbers
                # equal names in the order of their use.
                if _position(tensor.op) == position:
                    return tensor
        self._without.add(graph)
        return None

    def _replace(self, owner, method: str, before=None, after=None) -> None:
        """Replace a method; `before` gets its arguments, `after` its result."""

        def called(*arguments, **keywords):
            if before is not None:
                before(*arguments, **keywords)
            result = replacement.original(*arguments, **keywords)
            if after is not None:
                after(result)
            return result

        replacement = MethodReplacement(owner, method, called)
        self.replacements.append(replacement)

    def _capture(self, values=None, sample_weight=None, **_) -> None:
        try:
            if (
                tf.is_symbolic_tensor(values)
                and values.dtype.is_floating
                # A metric with weights of examples does not log the plain mean.
                and (sample_weight is None or values.shape.rank == 0)
                and replicas.is_first()
            ):
                self._place = values.name, _position(values.op)
        except Exception as error:
            self._fail(error)

    def capture_logs(self, logs: object) -> None:
        """Capture the loss in the logs that a traced program returns."""
        value = logs.get(self._name) if isinstance(logs, dict) else None
        # A program returns copies.
        if tf.is_symbolic_tensor(value) and value.op.type == "Identity":
            value = value.op.inputs[0]
        self._capture_logs({self._name: value})

    def _capture_logs(self, logs) -> None:
        """Capture the loss of this step in the logs, if they have it, and not
        the mean over many steps that a metric returns."""
        value = logs.get(self._name) if isinstance(logs, dict) else None
        if (
            tf.is_symbolic_tensor(value)
            and value.shape.rank == 0
            and not _is_of_metric(value.op)
            and self._place is None
        ):
            self._capture(value)


def _is_of_metric(operation) -> bool:
    """Return whether an operation computes the result of a metric."""
    while operation.type == "Identity":
        operation = operation.inputs[0].op
    return operation.type == _MEAN and all(
        tensor.op.type == "ReadVariableOp" for tensor in operation.inputs
    )


def _metrics(model: keras.Model) -> list:
    """List the metrics of a model.

    `model.metrics` of tf_keras has the one to which `compiled_loss` passes its
    loss only after a call.
    """
    container = getattr(model, "compiled_loss", None)
    of_loss = getattr(container, "_total_loss_mean", None)
    metrics = [of_loss] if of_loss is not None else []
    return metrics + [m for m in model.metrics if m is not of_loss]


def _position(operation) -> int:
    """Number of operations before one in its graph.

    Those of gradscope do not count, nor do placeholders of variables: the first
    who reads a variable makes its placeholder.
    """
    before = itertools.takewhile(
        lambda op: op.name != operation.name, operation.graph.get_operations()
    )
    return sum(
        op.type != "Placeholder" and not scopes.is_ours(op.name)
        for op in before
    )


def has_own_train_step(model: keras.Model) -> bool:
    """Whether a model's `train_step` is not that of Keras."""
    step = getattr(type(model), "train_step", None)
    module = getattr(step, "__module__", "").partition(".")[0]
    return step is not None and module not in ("keras", "tf_keras")
