"""Describes variables: their names, layers and order in the forward pass."""

from __future__ import annotations

import collections
import math
import re
from typing import TYPE_CHECKING

import tensorflow as tf

from gradscope.format.schema import Variable
from gradscope.runtime import replicas, scopes, tracing

if TYPE_CHECKING:
    import keras

    from gradscope.runtime.eager_operations import EagerGraph

# Operations of TensorFlow 1 that pass a variable's value on, and those that
# initialise or check the variable, which is no use of its value.
_READS = {"Identity", "ReadVariableOp", "Cast"}
_MAINTENANCE = {
    "Assign",
    "AssignVariableOp",
    "IsVariableInitialized",
    "VarIsInitializedOp",
}

# Name of a slice into which a partitioner of TensorFlow 1 cuts a variable.
_PARTITION = re.compile(r"part_\d+")


def describe(variables: list) -> tuple[Variable, ...]:
    """Describe the names, layers and shapes of variables, in their order.

    The layer is the variable's path without its last part, and without the
    leading parts that all variables share (the model's name). Where two
    layers have the same path, the second gets `_1` behind it.

    Args:
        variables: Keras variables or `tf.Variable`s.
    """
    paths = _without_common_start([_path(v) for v in variables])
    layers = _unique_layers(paths)
    return tuple(
        Variable(
            name=f"{layer}/{parts[-1]}",
            layer=layer,
            shape=tuple(map(int, variable.shape)),
            dtype=_dtype_name(variable.dtype),
        )
        for variable, parts, layer in zip(variables, paths, layers, strict=True)
    )


def forward_order(variables: list, graph: tf.Graph | None) -> list[int]:
    """Sort the variables' indices by the order in which a step reads them.

    In a traced step the forward pass is the first to read a variable, so the
    order is that of the computation, also for a subclassed model whose layers
    were created in another order. Without a graph the order stays.

    Args:
        variables: Keras variables or `tf.Variable`s.
        graph: The step's graph (or a graph inside of it), None in eager mode.
    """
    if tracing.session_graph(graph) is not None:
        uses = [_first_use(tf_variable(v)) for v in variables]
        return sorted(range(len(uses)), key=lambda index: uses[index])
    first_use: dict[int, int] = {}
    for outer in tracing.outermost_first(graph):
        position = {op.name: i for i, op in enumerate(outer.get_operations())}
        for external, internal in getattr(outer, "captures", ()):
            uses = [position.get(op.name) for op in internal.consumers()]
            uses = [use for use in uses if use is not None]
            if uses:
                first_use.setdefault(id(external), min(uses))
    # Only the outermost graph that reads a variable sets its place. Variables
    # that no graph reads come last, in their order.
    last = max(first_use.values(), default=0) + 1
    handles = [getattr(tf_variable(v), "handle", None) for v in variables]
    return sorted(
        range(len(variables)),
        key=lambda index: first_use.get(id(handles[index]), last),
    )


def handles(
    graph: tf.Graph | EagerGraph, variables: list[tf.Variable]
) -> dict[str, tf.Variable]:
    """Map the names of handles in a graph to their variables.

    Variables that the graph does not use are left out.
    """
    if tracing.session_graph(graph) is not None:
        return {_handle(v).name: v for v in variables}
    by_handle = {id(v.handle): v for v in variables if hasattr(v, "handle")}
    return {
        internal.name: by_handle[id(external)]
        for external, internal in getattr(graph, "captures", ())
        if id(external) in by_handle
    }


def origins(graph: tf.Graph | EagerGraph) -> dict[str, int]:
    """Map the names of a graph's captured tensors to the ids of their origins.

    The same variable has the same id in all graphs. A graph that a session runs
    captures nothing, and names its variables uniquely.
    """
    captures = getattr(graph, "captures", ())
    return {internal.name: id(external) for external, internal in captures}


def untrained_names(
    graph: tf.Graph | EagerGraph, trained: list[tf.Variable]
) -> dict[str, str]:
    """Map handles of a graph's untrained variables to the variables' names.

    Args:
        graph: The graph.
        trained: The variables to leave out.
    """
    trained_handles = handles(graph, trained)
    if tracing.session_graph(graph) is not None:
        key = tf.compat.v1.GraphKeys.GLOBAL_VARIABLES
        names = {_handle(v).name: v.name for v in graph.get_collection(key)}
    else:
        names = {
            internal.name: internal.name
            for _, internal in getattr(graph, "captures", ())
            if internal.dtype == tf.resource
        }
    return {k: name for k, name in names.items() if k not in trained_handles}


def _handle(variable) -> tf.Tensor:
    handle = getattr(variable, "handle", None)
    return variable._ref() if handle is None else handle


def _first_use(variable) -> float:
    """Position in its graph of the first operation that computes with a
    variable's value; infinite without any."""
    pending = [_handle(variable)]
    first = math.inf
    while pending:
        for consumer in pending.pop().consumers():
            if consumer.type in _READS:
                pending.extend(consumer.outputs)
            elif consumer.type not in _MAINTENANCE:
                # Has no public name: operations count in the order in which
                # they were added to the graph.
                first = min(first, consumer._id)
    return first


def tf_variable(variable: keras.Variable | tf.Variable) -> tf.Variable:
    """First replica's `tf.Variable` behind a Keras variable."""
    return replicas.of_first(_inner(variable))


def replica_variable(variable: keras.Variable | tf.Variable) -> tf.Variable:
    """`tf.Variable` behind a Keras variable, on the replica whose code runs."""
    return replicas.of_current(_inner(variable))


def _inner(variable):
    if _is_keras(variable):
        variable = getattr(variable, "value", variable)
    if hasattr(variable, "true_dtype"):  # tf_keras, in mixed precision
        variable = variable._variable
    return variable


def value(variable: keras.Variable | tf.Variable | float) -> tf.Tensor:
    """Present value of a variable (or a number), on the first replica."""
    with tf.name_scope(scopes.SCOPE):
        return tf.convert_to_tensor(tf_variable(variable))


def _is_keras(variable) -> bool:
    return hasattr(variable, "path")


def _path(variable) -> list[str]:
    path = variable.path if _is_keras(variable) else variable.name
    parts = path.removesuffix(":0").split("/")
    if len(parts) > 2 and _PARTITION.fullmatch(parts[-1]):
        parts[-2:] = ["/".join(parts[-2:])]
    # A variable outside of any layer is its own layer.
    return parts if len(parts) > 1 else parts * 2


def _dtype_name(dtype) -> str:
    dtype = getattr(dtype, "base_dtype", dtype)  # not `float32_ref`
    return getattr(dtype, "name", str(dtype))


def _without_common_start(paths: list[list[str]]) -> list[list[str]]:
    while paths and all(
        # A layer and a variable must be left of each path.
        len(path) > 2 and path[0] == paths[0][0]
        for path in paths
    ):
        paths = [path[1:] for path in paths]
    return paths


def _unique_layers(paths: list[list[str]]) -> list[str]:
    """Name the layer of each path, such that variables' names are unique."""
    taken = {"/".join(path[:-1]) for path in paths}
    renamed: dict[tuple[str, int], str] = {}
    counts: collections.Counter = collections.Counter()
    layers = []
    for path in paths:
        layer = "/".join(path[:-1])
        # Two layers of one name share paths; the n-th variable with a path
        # belongs to the n-th of these layers.
        copy = counts["/".join(path)]
        counts["/".join(path)] += 1
        if copy and (layer, copy) not in renamed:
            number = copy
            while f"{layer}_{number}" in taken:
                number += 1
            renamed[layer, copy] = f"{layer}_{number}"
            taken.add(f"{layer}_{number}")
        layers.append(renamed.get((layer, copy), layer))
    return layers
