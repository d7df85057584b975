"""The loss of a `train_step` that does not call `compute_loss`.

Such a step tells its loss to a metric of that name, or returns it under that
name, most of the time after the optimizer's call, when it is too late to
measure it. But there is a program that was traced before, the user's own: a
tensor of the same name and number in the program that records is the same
tensor.
"""

from __future__ import annotations

import contextlib
import itertools
import weakref

import tensorflow as tf

from gradscope.runtime import replicas, scopes, tracing
from gradscope.runtime.stand_in import StandIn

#: What the result of a metric is computed by, at last, of two variables. (A
#: loss of tf_keras is the same quotient, of tensors.)
_MEAN = "DivNoNan"


class Logged:
    """Remembers which tensor of a graph a model logs as a loss.

    Args:
        model: A Keras model.
        fail: Called with an error of ours.
        name: Of the loss.
    """

    def __init__(self, model, fail, name: str = "loss"):
        self._fail = fail
        self._name = name
        self._place: tuple[str, int] | None = None
        self._without: weakref.WeakSet = weakref.WeakSet()
        self.stand_ins = []
        if not is_own(model):
            return
        with contextlib.suppress(Exception):  # `metrics` may be the user's
            for metric in _metrics(model):
                # Keras has one of its own in each model, as a rule unused.
                if metric.name == name:
                    self._stand_in(metric, "update_state", self._note)
        # In tf_keras; Keras 3 has taken the method by now, see `returned`.
        self._stand_in(model, "train_step", after=self._note_returned)

    @property
    def unknown(self) -> str:
        """What there is to be told where the loss is not known."""
        if self._place is not None:
            return (
                f"the loss: `train_step` computes the `{self._name}` that it "
                "logs after the first of the steps"
            )
        return f"the loss: no `{self._name}` was found that `train_step` logs"

    def loss(self, graph):
        """Returns the loss in a graph that is being built, None if it is not
        known. Of several steps in one graph it is known of all or of none: one
        that is missing in between would look like one that became NaN.

        Args:
            graph: That is being built, or None.
        """
        if self._place is None or graph is None or graph in self._without:
            return None
        name, number = self._place
        for one in reversed(tracing.outermost_first(graph)):
            with contextlib.suppress(KeyError):
                tensor = one.get_tensor_by_name(name)
                if _number(tensor.op) == number:
                    return tensor
        self._without.add(graph)
        return None

    def _stand_in(self, owner, method: str, before=None, after=None) -> None:
        """Calls one of ours with the arguments of a method, or its result."""

        def called(*arguments, **keywords):
            if before is not None:
                before(*arguments, **keywords)
            result = stand_in.original(*arguments, **keywords)
            if after is not None:
                after(result)
            return result

        stand_in = StandIn(owner, method, called)
        self.stand_ins.append(stand_in)

    def _note(self, values=None, sample_weight=None, **_) -> None:
        try:
            if (
                tf.is_symbolic_tensor(values)
                and values.dtype.is_floating
                and (sample_weight is None or values.shape.rank == 0)
                and replicas.is_first()
            ):
                self._place = values.name, _number(values.op)
        except Exception as error:
            self._fail(error)

    def returned(self, logs) -> None:
        """Notes what a program that was traced returns of a step."""
        value = logs.get(self._name) if isinstance(logs, dict) else None
        # A program returns copies.
        if tf.is_symbolic_tensor(value) and value.op.type == "Identity":
            value = value.op.inputs[0]
        self._note_returned({self._name: value})

    def _note_returned(self, logs) -> None:
        """Notes a loss that a step returns as it is, not the mean of many that
        a metric returns."""
        value = logs.get(self._name) if isinstance(logs, dict) else None
        if (
            tf.is_symbolic_tensor(value)
            and value.shape.rank == 0
            and not _is_of_metric(value.op)
            and self._place is None
        ):
            self._note(value)


def _is_of_metric(operation) -> bool:
    """Returns whether an operation computes the result of a metric."""
    while operation.type == "Identity":
        operation = operation.inputs[0].op
    return operation.type == _MEAN and all(
        tensor.op.type == "ReadVariableOp" for tensor in operation.inputs
    )


def _metrics(model) -> list:
    """Returns the metrics of a model. To those of tf_keras the one that
    `compiled_loss` tells its loss belongs only when it was called once."""
    container = getattr(model, "compiled_loss", None)
    of_loss = getattr(container, "_total_loss_mean", None)
    metrics = [of_loss] if of_loss is not None else []
    return metrics + [one for one in model.metrics if one is not of_loss]


def _number(operation) -> int:
    """Returns how many operations there are before one, but for ours, and for
    the placeholders of variables: who reads a variable first makes that."""
    before = itertools.takewhile(
        lambda one: one.name != operation.name,
        operation.graph.get_operations(),
    )
    return sum(
        one.type != "Placeholder" and not scopes.is_ours(one.name)
        for one in before
    )


def is_own(model) -> bool:
    """Returns whether a model's `train_step` is not that of Keras."""
    step = getattr(type(model), "train_step", None)
    module = getattr(step, "__module__", "").partition(".")[0]
    return step is not None and module not in ("keras", "tf_keras")
