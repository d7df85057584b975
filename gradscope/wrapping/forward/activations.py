"""Finds the activations in the graph of a step by their operations.

All ways to apply an activation function end in the same few operations:
`activation="relu"`, a `ReLU` layer, `keras.ops.relu`, and `tf.nn.relu` in a
subclassed model. The search runs when the optimizer is called, in the graph
that is being traced. Activations inside of a function or a loop cannot be
reached from there; these are reported by name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import tensorflow as tf

from gradscope.format.schema import Activation
from gradscope.measuring.activations import KINDS
from gradscope.runtime import operations, scopes, tf_variables, tracing
from gradscope.wrapping.forward import softmax_axes

if TYPE_CHECKING:
    from gradscope.format.schema import Variable
    from gradscope.runtime.eager_operations import EagerGraph

#: Operations that are an activation function, and its name in Keras.
_OPERATIONS = {
    "Elu": "elu",
    "LeakyRelu": "leaky_relu",
    "Relu": "relu",
    "Relu6": "relu6",
    "Selu": "selu",
    "Sigmoid": "sigmoid",
    "Softmax": "softmax",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Tanh": "tanh",
}

#: Operations that identify a GELU: no other activation computes them.
_ERROR_FUNCTIONS = ("Erf", "Erfc")

#: Operations that multiply with a number.
_SCALES = ("Cast", "Mul", "Neg", "RealDiv")

#: Operations that run a function, which has its own graph.
_CALLS = {
    "If",
    "PartitionedCall",
    "StatefulPartitionedCall",
    "StatelessIf",
    "StatelessWhile",
    "While",
}

#: In how many operations before an activation its layer's weight is searched.
_NEAR = 16


@dataclasses.dataclass
class ActivationTensors:
    """The tensors of one activation of a graph.

    Attributes:
        scope: The name scope of its operations.
        kind: Its function.
        measured: The tensors to measure: the activation's outputs, or its
            inputs where its kind has a `function`. There is one, or one for
            each time step of a time-distributed layer.
        weight: Name of the handle of the weight that was used last before it.
        outputs: Keys of its outputs, from `operations.tensor_key`.
        axis: As in `Activation`.
    """

    scope: str
    kind: str
    measured: list[tf.Tensor]
    weight: str | None = None
    outputs: list[tuple] = dataclasses.field(default_factory=list)
    axis: int = -1

    @property
    def units(self) -> int:
        """Size of the last axis."""
        return self.measured[0].shape.as_list()[-1]

    def tensors(self) -> list[tf.Tensor]:
        """List all tensors."""
        return self.measured

    def with_tensors(self, tensors: Iterator[tf.Tensor]) -> ActivationTensors:
        """Copy with other tensors, taken from an iterator."""
        return dataclasses.replace(
            self, measured=[next(tensors) for _ in self.measured]
        )


def find(
    graph: tf.Graph | EagerGraph, forward_operations: list
) -> tuple[list[ActivationTensors], list[str]]:
    """Find the activations among the operations of a forward pass.

    Args:
        graph: The graph.
        forward_operations: Operations of the graph.

    Returns:
        Activations in forward order; and the names of functions with
        activations inside, and of activations of unknown rank or width.
    """
    activations: dict[tuple, ActivationTensors] = {}
    unseen = []
    for operation in forward_operations:
        if operation.type in _CALLS:
            if _has_activations(operation.node_def, graph, set()):
                unseen.append(operation.name)
            continue
        activation = _activation(operation)
        if activation is None:
            if _has_unknown_width(operation):
                unseen.append(operation.name)
            continue
        # Time steps of one layer share a scope and a weight.
        key = (
            activation.scope,
            activation.kind,
            activation.units,
            activation.axis,
            activation.weight or operation.name,
        )
        first = activations.setdefault(key, activation)
        if first is not activation:
            first.measured += activation.measured
            first.outputs += activation.outputs
    return list(activations.values()), unseen


def names_of(forward_operations: list) -> list[str]:
    """Names of the activations among operations."""
    return [op.name for op in forward_operations if op.type in _OPERATIONS]


def describe(
    activations: list[ActivationTensors],
    owners: dict[str, str],
    names: scopes.LayerNames,
    model_outputs: set[tuple],
) -> tuple[Activation, ...]:
    """Describe activations as rows of the record, named by layer and function.

    Args:
        activations: The activations.
        owners: Layers by the names of the weights' handles in the graph.
        names: Finds the layers' names.
        model_outputs: Keys of the model's outputs, as in
            `ActivationTensors.outputs`.
    """
    return tuple(
        Activation(
            names.unique(
                f"{names.layer(a.scope, owners.get(a.weight))}/{a.kind}"
            ),
            a.kind,
            a.units,
            a.measured[0].dtype.name,
            a.measured[0].shape.rank,
            a.axis,
            not model_outputs.isdisjoint(a.outputs),
        )
        for a in activations
    )


def owners_of(
    graph: tf.Graph | EagerGraph,
    variables: list[tf.Variable],
    described: Sequence[Variable],
) -> dict[str, str]:
    """Map the names of variables' handles in a graph to the variables' layers.

    Args:
        graph: The step's graph; those around it are searched, too.
        variables: All variables.
        described: Their descriptions, in the same order.
    """
    layers = {
        id(variable): row.layer
        for variable, row in zip(variables, described, strict=True)
    }
    return {
        name: layers[id(variable)]
        for outer in tracing.outermost_first(graph)
        for name, variable in tf_variables.handles(outer, variables).items()
    }


def _weight(tensor) -> str | None:
    """Name of the last weight with which a tensor was computed."""
    # Breadth first: the nearest weight is that of the activation's layer.
    pending = [tensor.op]
    for _ in range(_NEAR):
        if not pending:
            break
        operation = pending.pop(0)
        if operation is None:  # the tensor is older than the eager pass
            continue
        if operation.type == "ReadVariableOp":
            return operation.inputs[0].name
        if operation.type == "VariableV2":  # a reference variable
            return operation.outputs[0].name
        # Behind another activation lie the weights of another layer.
        if operation.type not in _OPERATIONS:
            pending += [t.op for t in operation.inputs]
    return None


def _activation(operation) -> ActivationTensors | None:
    """Activation that an operation is, or is a part of; None for others."""
    kind = _OPERATIONS.get(operation.type)
    if kind is None and operation.type not in _ERROR_FUNCTIONS:
        return None
    x, y = operation.inputs[0], operation.outputs[0]
    scope = scopes.of(operation.name)
    axis = -1
    gelu = _gelu(operation)
    if gelu is not None:
        kind, x, y = gelu
        outer, _, last = scope.rpartition("/")
        # `tf.nn.gelu` adds a scope inside of the layer's.
        scope = outer if last.startswith("Gelu") else scope
    elif kind == "sigmoid":
        kind, x, y = _sigmoid_or_silu(x, y)
    elif kind == "softmax":
        y, axis = softmax_axes.output_and_axis(operation)
    rank = y.shape.rank
    # A vector has no axis of examples beside that of units.
    if kind is None or rank is None or rank < 2 or not y.dtype.is_floating:
        return None
    if y.shape.as_list()[-1] is None:
        return None
    # See `measuring.activations.Kind`: of a GELU and a SiLU the input is read,
    # so that TensorFlow may still fuse their last product.
    measured = y if KINDS[kind].function is None else x
    output = operations.tensor_key(y)
    return ActivationTensors(
        scope, kind, [measured], _weight(x), [output], axis
    )


def _has_unknown_width(operation) -> bool:
    """Whether an operation is an activation with an unknown number of units,
    such as attention's softmax, which has as many units as keys."""
    if operation.type not in _OPERATIONS:
        return False
    shape = operation.outputs[0].shape
    return shape.rank is None or (
        shape.rank > 1 and shape.as_list()[-1] is None
    )


def _gelu(operation):
    """Kind, input and output of the GELU that an operation is a part of.

    None for others. A GELU is `.5 x erfc(-x / sqrt(2))`,
    `.5 x (1 + erf(x / sqrt(2)))` or `.5 x (1 + tanh(.8 (x + .04 x^3)))`.
    """
    kind = "gelu"
    x = _unscaled(operation.inputs[0])
    if operation.type == "Tanh":
        kind, inner = "gelu_tanh", x.op
        if inner is None or inner.type not in ("Add", "AddV2"):
            return None
        cubes = [_unscaled(t).op for t in inner.inputs]
        cubes = [c for c in cubes if c is not None and c.type == "Pow"]
        if not cubes:
            return None
        x = cubes[0].inputs[0]
    elif operation.type not in _ERROR_FUNCTIONS:
        return None
    y = _product(operation.outputs[0], x)
    return None if y is None else (kind, x, y)


def _product(tensor, x):
    """Product of x and a tensor, or of x and one plus the tensor; None if the
    tensor is not multiplied with x."""
    for consumer in tensor.consumers():
        if consumer.type == "Mul":
            if any(_same(_unscaled(t), x) for t in consumer.inputs):
                return consumer.outputs[0]
        elif consumer.type in ("Add", "AddV2"):
            for inner in consumer.outputs:
                product = _product(inner, x)
                if product is not None:
                    return product
    return None


def _unscaled(tensor):
    """Tensor before the multiplications with numbers."""
    while tensor.op is not None and tensor.op.type in _SCALES:
        # A number has no axes; with two tensors it is a product of both.
        parts = [t for t in tensor.op.inputs if t.shape.rank != 0]
        if len(parts) != 1:
            break
        tensor = parts[0]
    return tensor


def _sigmoid_or_silu(x, y):
    """Kind, input and output of an activation with a sigmoid, which is a SiLU
    where the sigmoid of x is multiplied with x."""
    is_scaled = x.op is not None and x.op.type == "Mul"
    # A SiLU with a factor inside is x · sigmoid(βx).
    scaled = x.op.inputs if is_scaled else ()
    for consumer in y.consumers():
        if consumer.type != "Mul":
            continue
        for factor in consumer.inputs:
            if any(_same(factor, t) for t in (x, *scaled)):
                return "silu", factor, consumer.outputs[0]
    return "sigmoid", x, y


def _same(a, b) -> bool:
    return a is b or a.name == b.name


def _has_activations(node, graph, visited: set[str]) -> bool:
    """Whether a function that a node runs has activations, or runs another
    function that has; true if the function is unknown."""
    if node is None:
        return True
    # Functions may call each other, so each is looked into once.
    names = {a.func.name for a in node.attr.values() if a.func.name} - visited
    visited |= names
    functions = (graph._functions.get(name) for name in names)
    nodes = (
        inner
        for function in functions
        if function is not None
        for inner in function.cached_definition.node_def
    )
    return any(
        not operations.is_backward(inner.name)
        and (inner.op in _OPERATIONS or _has_activations(inner, graph, visited))
        for inner in nodes
    )
