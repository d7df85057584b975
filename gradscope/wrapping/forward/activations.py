"""Activations in the graph of a step: found by their operations.

Every framework on TensorFlow ends up with the same few operations, whoever
calls them: `activation="relu"`, a `ReLU` layer, `keras.ops.relu`, `tf.nn.relu`
in a model of one's own. They are found when the optimizer is called, in the
graph that is traced then. What is inside of a function or a loop of its own
cannot be reached from there, and is told by name.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from gradscope.format.schema import Activation
from gradscope.measuring.activations import KINDS
from gradscope.runtime import operations, scopes, tf_variables, tracing
from gradscope.wrapping.forward import softmax_axes

#: Operations that are an activation function, by the name Keras gives it.
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

#: Operations that only a GELU is known to have.
_ERROR_FUNCTIONS = ("Erf", "Erfc")

#: Operations that multiply with a number.
_SCALES = ("Cast", "Mul", "Neg", "RealDiv")

#: Operations that run a function with a graph of its own.
_CALLS = {
    "If",
    "PartitionedCall",
    "StatefulPartitionedCall",
    "StatelessIf",
    "StatelessWhile",
    "While",
}

#: How many operations before an activation its layer's weight is looked for.
_NEAR = 16


@dataclasses.dataclass
class ActivationTensors:
    """One activation of a graph.

    Attributes:
        scope: The name scope of its operations.
        kind: Its function.
        read: Its outputs, or its inputs where its kind has a `function`: one,
            or one for every time step of a time-distributed layer.
        weight: Name of the handle of the weight that came last before it.
        outputs: What it returns, by `operations.key` and name.
        axis: As of `Activation`.
    """

    scope: str
    kind: str
    read: list[tf.Tensor]
    weight: str | None = None
    outputs: list[tuple] = dataclasses.field(default_factory=list)
    axis: int = -1

    @property
    def units(self) -> int:
        """Size of the last axis."""
        return self.read[0].shape.as_list()[-1]

    def tensors(self) -> list[tf.Tensor]:
        """Returns all tensors."""
        return self.read

    def with_tensors(self, rest) -> ActivationTensors:
        """Returns the same with other tensors, from an iterator."""
        return dataclasses.replace(self, read=[next(rest) for _ in self.read])


def find(graph, of_step) -> tuple[list[ActivationTensors], list[str]]:
    """Returns the activations among the operations of a forward pass, and what
    cannot be seen of it.

    Args:
        graph: The graph.
        of_step: Its operations.

    Returns:
        Activations in forward order; and the names of functions with
        activations inside, and of activations of unknown rank or width.
    """
    found: dict[tuple, ActivationTensors] = {}
    unseen = []
    for operation in of_step:
        if operation.type in _CALLS:
            if _inside(operation.node_def, graph, set()):
                unseen.append(operation.name)
            continue
        one = _activation(operation)
        if one is None:
            if _is_unknown(operation):
                unseen.append(operation.name)
            continue
        # Time steps of one layer are in one scope, with one weight.
        own = one.weight or operation.name
        key = one.scope, one.kind, one.units, one.axis, own
        known = found.setdefault(key, one)
        if known is not one:
            known.read += one.read
            known.outputs += one.outputs
    return list(found.values()), unseen


def names_of(of_step) -> list[str]:
    """Returns the names of the activations among operations."""
    return [op.name for op in of_step if op.type in _OPERATIONS]


def describe(
    found: list[ActivationTensors],
    owners: dict[str, str],
    names: scopes.LayerNames,
    ends: set[tuple],
) -> tuple[Activation, ...]:
    """Returns names for activations: layer and function.

    Args:
        found: The activations.
        owners: Layers by the names of the weights' handles in the graph.
        names: Of the layers.
        ends: What the model returns, as `Found.outputs`.
    """
    return tuple(
        Activation(
            names.unique(
                f"{names.layer(one.scope, owners.get(one.weight))}/{one.kind}"
            ),
            one.kind,
            one.units,
            one.read[0].dtype.name,
            one.read[0].shape.rank,
            one.axis,
            not ends.isdisjoint(one.outputs),
        )
        for one in found
    )


def owners_of(graph, variables: list, described) -> dict[str, str]:
    """Returns layers by the names that the handles of their variables have in
    a graph, or in one around it.

    Args:
        graph: The step's graph.
        variables: `tf.Variable`s.
        described: Their `schema.Variable`s.
    """
    told = {
        id(variable): one.layer
        for variable, one in zip(variables, described, strict=True)
    }
    return {
        name: told[id(variable)]
        for outer in tracing.outermost_first(graph)
        for name, variable in tf_variables.handles(outer, variables).items()
    }


def _weight(tensor) -> str | None:
    """Returns the name of the last weight that a tensor was computed with."""
    pending = [tensor.op]
    for _ in range(_NEAR):
        if not pending:
            break
        operation = pending.pop(0)
        if operation is None:  # what an eager pass began with
            continue
        if operation.type == "ReadVariableOp":
            return operation.inputs[0].name
        if operation.type == "VariableV2":  # a reference variable
            return operation.outputs[0].name
        if operation.type not in _OPERATIONS:
            pending += [t.op for t in operation.inputs]
    return None


def _activation(operation) -> ActivationTensors | None:
    """Returns the activation that an operation is, or belongs to."""
    kind = _OPERATIONS.get(operation.type)
    if kind is None and operation.type not in _ERROR_FUNCTIONS:
        return None
    x, y = operation.inputs[0], operation.outputs[0]
    scope = scopes.of(operation.name)
    axis = -1
    gated = _gated(operation)
    if gated is not None:
        kind, x, y = gated
        outer, _, last = scope.rpartition("/")
        scope = outer if last.startswith("Gelu") else scope
    elif kind == "sigmoid":
        kind, x, y = _silu(x, y)
    elif kind == "softmax":
        y, axis = softmax_axes.of_softmax(operation)
    rank = y.shape.rank
    if kind is None or rank is None or rank < 2 or not y.dtype.is_floating:
        return None
    if y.shape.as_list()[-1] is None:
        return None
    read = y if KINDS[kind].function is None else x
    end = operations.tensor_key(y)
    return ActivationTensors(scope, kind, [read], _weight(x), [end], axis)


def _is_unknown(operation) -> bool:
    """Returns whether an operation is an activation of which it is not known
    how many units it has: as many as there are keys, in attention."""
    if operation.type not in _OPERATIONS:
        return False
    shape = operation.outputs[0].shape
    return shape.rank is None or (
        shape.rank > 1 and shape.as_list()[-1] is None
    )


def _gated(operation):
    """Returns kind, input and output of the GELU that an operation belongs to,
    None for others: `.5 x erfc(-x / sqrt(2))`, `.5 x (1 + erf(x / sqrt(2)))`
    or `.5 x (1 + tanh(.8 (x + .04 x^3)))`."""
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
    """Returns what a tensor, or one and it, is when multiplied with x; None if
    it is not."""
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
    """Returns a tensor without the numbers that it is multiplied with."""
    while tensor.op is not None and tensor.op.type in _SCALES:
        parts = [t for t in tensor.op.inputs if t.shape.rank != 0]
        if len(parts) != 1:
            break
        tensor = parts[0]
    return tensor


def _silu(x, y):
    """Returns the activation of a sigmoid, which may be x * sigmoid(x)."""
    is_scaled = x.op is not None and x.op.type == "Mul"
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


def _inside(node, graph, visited: set[str]) -> bool:
    """Returns whether a function that a node runs has activations, or runs
    one that has; it may where that cannot be told."""
    if node is None:
        return True
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
        and (inner.op in _OPERATIONS or _inside(inner, graph, visited))
        for inner in nodes
    )
