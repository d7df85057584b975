"""Activations in the graph of a step: found by their operations.

Every framework on TensorFlow ends up with the same few operations, whoever
calls them: `activation="relu"`, a `ReLU` layer, `keras.ops.relu`, `tf.nn.relu`
in a model of one's own. They are found when the optimizer is called, in the
graph that is traced then. What is inside of a function or a loop of its own
cannot be reached from there, and is told by name.
"""

from __future__ import annotations

import dataclasses
import re

import tensorflow as tf

from gradscope import schema
from gradscope.wrapping import tracing

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

#: Operations that run a function with a graph of its own.
_CALLS = {
    "If",
    "PartitionedCall",
    "StatefulPartitionedCall",
    "StatelessIf",
    "StatelessWhile",
    "While",
}

#: The first part of the names of operations that compute gradients.
_BACKWARD = "gradient_tape"

#: How many operations before an activation its layer's weight is looked for.
_NEAR = 16

#: How the types of operations begin that update variables.
_UPDATES = ("Assign", "ResourceApply", "ResourceSparseApply")


@dataclasses.dataclass
class Found:
    """One activation of a graph.

    Attributes:
        scope: The name scope of its operations.
        kind: Its function.
        inputs, outputs: Tensors: one each, or one for every time step of a
            time-distributed layer.
        weight: Name of the handle of the weight that came last before it.
    """

    scope: str
    kind: str
    inputs: list[tf.Tensor]
    outputs: list[tf.Tensor]
    weight: str | None = None

    @property
    def units(self) -> int:
        """Size of the last axis."""
        return self.outputs[0].shape[-1]


def find(graph) -> tuple[list[Found], list[str]]:
    """Returns the activations of a step, and what cannot be seen of it.

    Args:
        graph: The step's graph, None in eager mode.

    Returns:
        Activations in forward order, and the names of functions with
        activations inside.
    """
    found: dict[tuple, Found] = {}
    unseen = []
    for outer in tracing.outermost_first(graph):
        for operation in _forward(outer):
            if operation.type in _CALLS:
                if _holds_activations(operation, outer):
                    unseen.append(operation.name)
                continue
            one = _activation(operation)
            if one is None:
                continue
            one.weight = _weight(one.inputs[0])
            # Time steps of one layer are in one scope, with one weight.
            own = one.weight or operation.name
            known = found.setdefault((one.scope, one.kind, one.units, own), one)
            if known is not one:
                known.inputs += one.inputs
                known.outputs += one.outputs
    return list(found.values()), unseen


def _forward(graph):
    """Yields the operations of a graph that are of no gradient and no update.

    A custom gradient's operations have no name of their own, but come after
    one that has; what comes after an update is another forward pass.
    """
    backward = False
    for operation in graph.get_operations():
        if operation.name.startswith(_BACKWARD):
            backward = True
        elif operation.type.startswith(_UPDATES):
            backward = False
        elif not backward:
            yield operation


def describe(
    found: list[Found], owners: dict[str, str]
) -> tuple[schema.Activation, ...]:
    """Returns names for activations: layer and function.

    Args:
        found: The activations.
        owners: Layers by the names of the weights' handles in the graph.
    """
    layers = set(owners.values())
    # TensorFlow puts `_1` behind a scope that was used before: all of them,
    # where the model's `build` was traced into the same graph.
    again = any(
        _known(one.scope, layers, 0) is None
        and _known(one.scope, layers, 1) is not None
        for one in found
    )
    scopes = {one.scope for one in found}
    taken: dict[str, int] = {}
    described = []
    for one in found:
        layer = (
            _known(one.scope, layers, again)
            or _known(one.scope, layers, not again)
            or (_holds(one.scope, scopes) and owners.get(one.weight))
            or "/".join(_parts(one.scope, again))
            or owners.get(one.weight, "model")
        )
        name = f"{layer}/{one.kind}"
        number = taken.get(name, 0)
        taken[name] = number + 1
        unique = f"{name}_{number}" if number else name
        described.append(schema.Activation(unique, one.kind, one.units))
    return tuple(described)


def owners_of(graph, variables: list, described) -> dict[str, str]:
    """Returns layers by the names that the handles of their variables have in
    a graph, or in one around it.

    Args:
        graph: The step's graph.
        variables: `tf.Variable`s.
        described: Their `schema.Variable`s.
    """
    layers = {
        id(variable.handle): told.layer
        for variable, told in zip(variables, described, strict=True)
        if hasattr(variable, "handle")
    }
    return {
        internal.name: layers[id(external)]
        for outer in tracing.outermost_first(graph)
        for external, internal in getattr(outer, "captures", ())
        if id(external) in layers
    }


def _parts(scope: str, again: bool) -> list[str]:
    """Returns the path of a scope, without the model and repetitions."""
    parts = [p for p in scope.split("/") if p]
    if again:
        parts = [re.sub(r"_\d+$", "", part) for part in parts]
    return parts[1:] or parts


def _known(scope: str, layers: set[str], again: bool) -> str | None:
    """Returns the layer with weights whose path a scope ends with."""
    parts = scope.split("/")
    if again:
        parts = [re.sub(r"_\d+$", "", part) for part in parts]
    paths = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((path for path in paths if path in layers), None)


def _holds(scope: str, scopes: set[str]) -> bool:
    """Returns whether a scope is that of a model, which holds others."""
    return any(other.startswith(scope + "/") for other in scopes)


def _weight(tensor) -> str | None:
    """Returns the name of the last weight that a tensor was computed with."""
    pending = [tensor.op]
    for _ in range(_NEAR):
        if not pending:
            break
        operation = pending.pop(0)
        if operation.type == "ReadVariableOp":
            return operation.inputs[0].name
        if operation.type not in _OPERATIONS:
            pending += [t.op for t in operation.inputs]
    return None


def _activation(operation) -> Found | None:
    """Returns the activation that an operation is, or belongs to."""
    scope = operation.name.rpartition("/")[0]
    kind = _OPERATIONS.get(operation.type)
    x, y = None, None
    if kind is not None:
        x, y = operation.inputs[0], operation.outputs[0]
    if _last(scope).startswith("Gelu"):
        kind, x, y = _gelu(operation)
        scope = scope.rpartition("/")[0]
    elif kind == "sigmoid":
        kind, x, y = _silu(x, y)
    if kind is None or x is None:
        return None
    rank = y.shape.rank
    if rank is None or rank < 2 or not y.dtype.is_floating:
        return None
    return None if y.shape[-1] is None else Found(scope, kind, [x], [y])


def _gelu(operation):
    """Returns the GELU whose first operation this is: half of its input, with
    which its last one multiplies; None thrice for the others."""
    if operation.type == "Mul" and _last(operation.name) == "mul":
        half = operation.outputs[0]
        for consumer in half.consumers():
            if consumer.type == "Mul":
                return "gelu", operation.inputs[1], consumer.outputs[0]
    return None, None, None


def _silu(x, y):
    """Returns the activation of a sigmoid, which may be x * sigmoid(x)."""
    scaled = x.op.inputs if x.op.type == "Mul" else ()
    for consumer in y.consumers():
        if consumer.type != "Mul":
            continue
        for factor in consumer.inputs:
            if any(_same(factor, t) for t in (x, *scaled)):
                return "silu", factor, consumer.outputs[0]
    return "sigmoid", x, y


def _last(scope: str) -> str:
    return scope.rpartition("/")[2]


def _same(a, b) -> bool:
    return a is b or a.name == b.name


def _holds_activations(operation, graph) -> bool:
    """Returns whether a function that an operation runs has activations."""
    names = [
        attribute.func.name
        for attribute in operation.node_def.attr.values()
        if attribute.func.name
    ]
    for name in names:
        function = graph._functions.get(name)
        if function is None:
            continue
        nodes = function.cached_definition.node_def
        if any(
            node.op in _OPERATIONS and not node.name.startswith(_BACKWARD)
            for node in nodes
        ):
            return not operation.name.startswith(_BACKWARD)
    return False
