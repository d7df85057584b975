"""Captures the inputs, outputs, targets and loss of a Keras model.

The model's `call` and `compute_loss` are replaced while the optimizer is
observed, because a graph does not tell which of its tensors have these roles.
"""

from __future__ import annotations

import dataclasses
import threading
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import tensorflow as tf

from gradscope.format.schema import State
from gradscope.measuring import states as measuring
from gradscope.runtime import (
    eager_operations,
    operations,
    tf_variables,
    tracing,
)
from gradscope.runtime.method_replacement import MethodReplacement
from gradscope.wrapping.forward import logged_loss
from gradscope.wrapping.forward.forward_pass import NO_LOSS, ForwardPass
from gradscope.wrapping.forward.layer_states import LayerStateTensors

if TYPE_CHECKING:
    import keras

    from gradscope.runtime.described_variables import DescribedVariables
    from gradscope.runtime.eager_operations import EagerGraph, EagerTensor
    from gradscope.wrapping.call import Call


@dataclasses.dataclass
class ModelCapture:
    """The tensors of one forward pass that have a role in the model.

    Attributes:
        model: The model; None where it is unknown.
        data: Inputs, targets and outputs by name.
        loss: The loss; None where it is unknown.
    """

    model: keras.Model | None = None
    data: dict[str, tf.Tensor] = dataclasses.field(default_factory=dict)
    loss: tf.Tensor | None = None

    def add_to(
        self,
        forward_pass: ForwardPass,
        call: Call,
        described: DescribedVariables,
        graph: tf.Graph | EagerGraph,
    ) -> None:
        """Add data, loss and layer states to a forward pass of a graph.

        Args:
            forward_pass: The tensors that were found.
            call: The optimizer's call.
            described: All variables that have rows in the record.
            graph: The graph that is being built, or that of an eager pass.
        """
        graphs = tracing.outermost_first(graph)
        forward_pass.data = {
            name: tensor
            for name, tensor in self.data.items()
            if _is_of(tensor, graphs)
        }
        if self.loss is not None and _is_of(self.loss, graphs):
            forward_pass.loss = self.loss
        if self.model is not None:
            has_loss = forward_pass.loss is not None
            if not has_loss and logged_loss.has_own_train_step(self.model):
                forward_pass.unseen += (NO_LOSS,)
            self._add_states(forward_pass, call, described, graphs)

    def outputs(
        self, graph: tf.Graph | EagerGraph
    ) -> list[tf.Tensor | EagerTensor]:
        """List the model's outputs that are in a graph, or in one around it."""
        tensors = [
            tensor
            for name, tensor in self.data.items()
            if name.split("/")[0] == "output"
        ]
        if isinstance(graph, eager_operations.EagerGraph):
            captured = [graph.find(tensor) for tensor in tensors]
            return [tensor for tensor in captured if tensor is not None]
        graphs = tracing.outermost_first(graph)
        return [tensor for tensor in tensors if _is_of(tensor, graphs)]

    def _add_states(
        self,
        forward_pass: ForwardPass,
        call: Call,
        described: DescribedVariables,
        graphs: list,
    ) -> None:
        """Add layers whose states do not move, or not as batch norm's."""
        handles_in_rows = {
            name
            for tensors in forward_pass.states.values()
            for name in tensors.handles
        }
        ancestors = operations.ancestor_keys(call.grads)
        for layer, parts in _stateful(self.model, described).items():
            variables = {n: tf_variables.replica_variable(v) for n, v in parts}
            used = {
                name
                for graph in graphs
                for name in tf_variables.handles(
                    graph, list(variables.values())
                )
            }
            # A layer that this step does not use has no row, nor has one a
            # second row.
            if not used or used & handles_in_rows:
                continue
            is_norm = set(_NORM) <= set(variables)
            names = _NORM if is_norm else variables
            moving = [variables[name] for name in names]
            sizes = [
                measuring.sample_size(v.shape.num_elements()) for v in moving
            ]
            kind = "batch_norm" if is_norm else "state"
            row = State(layer, kind, sum(sizes), layer=layer)
            training = None
            if is_norm:
                mean = variables["moving_mean"]
                training = not _is_ancestor(ancestors, mean, graphs)
            forward_pass.states[row] = LayerStateTensors(
                moving=moving, training=training
            )


def _is_ancestor(ancestors: set, variable, graphs: list) -> bool:
    """Whether gradients depend on a moving statistic, as in inference mode.

    In training mode they depend on the batch's statistic. A step of training
    that does not update the moving one is a mistake, as with `stateless_call`.
    """
    for graph in graphs:
        if isinstance(graph, eager_operations.EagerGraph):
            return True  # the operations of eager gradients are not captured
        for name in tf_variables.handles(graph, [variable]):
            if (id(graph), name.partition(":")[0]) in ancestors:
                return True
    return False


#: Roles of the arguments of `compute_loss`, and their names in Keras.
_ROLES = {"input": "x", "target": "y", "output": "y_pred"}

#: Names of batch norm's variables in Keras.
_NORM = ("moving_mean", "moving_variance")


def _stateful(model, described: DescribedVariables) -> dict[str, list]:
    """Floating variables of a model that are not trained, by layer: pairs of
    their last name and the variable."""
    moving = [
        variable
        for variable in model.non_trainable_variables
        if tf.as_dtype(variable.dtype).is_floating
        and tf_variables.tf_variable(variable).shape.is_fully_defined()
        and all(variable is not v for v in described.variables)
    ]
    rows = described.describe_beside(moving)
    by_layer: dict[str, list] = {}
    for variable, row in zip(moving, rows, strict=True):
        last_name = row.name.rpartition("/")[2]
        by_layer.setdefault(row.layer, []).append((last_name, variable))
    return by_layer


class ModelCaptures:
    """Captures a model's forward passes while they run.

    Args:
        model: A Keras model.
        captures_now: Whether the present forward pass is to be captured.
        begin: Makes the context in which the model is called, from the model.
        fail: Called with an error of gradscope's; those of the model are
            raised.
    """

    def __init__(
        self,
        model: keras.Model,
        captures_now: Callable[[], bool],
        begin: Callable[[keras.Model], AbstractContextManager],
        fail: Callable[[Exception], None],
    ):
        self._model = weakref.ref(model)
        self._captures_now = captures_now
        self._begin = begin
        self._fail = fail
        # A strategy traces each replica in a thread of its own.
        self._local = threading.local()
        self.replacements = [MethodReplacement(model, "call", self._call)]
        if hasattr(model, "compute_loss"):
            compute_loss = MethodReplacement(
                model, "compute_loss", self._compute_loss
            )
            self.replacements.append(compute_loss)
        self._logged_loss = logged_loss.LoggedLoss(model, fail)
        self.replacements += self._logged_loss.replacements

    def capture_logs(self, logs: object) -> None:
        """Capture the loss in the logs that the model's plain step returns."""
        self._logged_loss.capture_logs(logs)

    def pop_latest(self, graph: tf.Graph | None) -> ModelCapture:
        """Get and forget the last capture in a graph; None for eager mode."""
        for outer in reversed(tracing.outermost_first(graph) or [None]):
            capture = self._captures().pop(outer or self, None)
            if capture is not None:
                break
        else:
            capture = ModelCapture(self._model())
        if capture.loss is None:
            capture.loss = self._logged_loss.loss(graph)
        return capture

    def _call(self, *arguments, **keywords):
        original = self.replacements[0].original
        if not self._is_captured(keywords):
            return original(*arguments, **keywords)
        with self._begin(self._model()):
            outputs = original(*arguments, **keywords)
        self._capture({"input": arguments[:1], "output": (outputs,)})
        return outputs

    def _compute_loss(self, *arguments, **keywords):
        loss = self.replacements[1].original(*arguments, **keywords)
        if self._is_captured(keywords):
            names = ("x", "y", "y_pred", "sample_weight")
            by_name = dict(zip(names, arguments, strict=False)) | keywords
            roles = {role: (by_name.get(n),) for role, n in _ROLES.items()}
            self._capture(roles, loss)
        return loss

    def _is_captured(self, keywords: dict) -> bool:
        try:
            # A `train_step` may call the model in inference mode, too, as for a
            # teacher's predictions.
            is_inference = keywords.get("training") is False
            return not is_inference and self._captures_now()
        except Exception as error:
            self._fail(error)
            return False

    def _capture(self, roles: dict, loss=None) -> None:
        """Capture the tensors of nests by their roles, and the loss."""
        try:
            data: dict = {}
            for role, nest in roles.items():
                data |= _named(role, nest)
            # A later forward pass of the same graph replaces an earlier one:
            # the optimizer's call follows the last.
            key = tracing.current_graph() or self
            self._captures()[key] = ModelCapture(self._model(), data, loss)
        except Exception as error:
            self._fail(error)

    def _captures(self) -> weakref.WeakKeyDictionary:
        """Captures of this thread by graph; the key of eager mode is this
        object, which is no graph."""
        if not hasattr(self._local, "captures"):
            self._local.captures = weakref.WeakKeyDictionary()
        return self._local.captures


def _named(role: str, nest) -> dict:
    """Tensors of a nest by name: `input`, or `input/tokens`."""
    tensors: dict = {}

    def add(name, value):
        if isinstance(value, dict):
            for key in value:
                add(f"{name}/{key}", value[key])
        elif isinstance(value, list | tuple):
            for number, part in enumerate(value):
                several = len(value) > 1
                add(f"{name}/{number}" if several else name, part)
        elif tf.is_tensor(value) and _is_number(value):
            tensors[name] = value

    add(role, tuple(nest))
    return tensors


def _is_number(tensor) -> bool:
    return not isinstance(tensor, tf.IndexedSlices | tf.SparseTensor) and (
        isinstance(tensor, tf.Tensor)
        and (tensor.dtype.is_floating or tensor.dtype.is_integer)
    )


def _is_of(tensor, graphs: list) -> bool:
    if not tf.is_symbolic_tensor(tensor):
        return any(
            isinstance(graph, eager_operations.EagerGraph) for graph in graphs
        )
    return any(tensor.graph is graph for graph in graphs)
