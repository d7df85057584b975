"""Who owns which variable: names, layers and the order of the forward pass."""

from __future__ import annotations

import collections
import math
import re

import tensorflow as tf

from gradscope.format.schema import Variable
from gradscope.runtime import replicas, scopes, tracing

# Ops of TensorFlow 1 that hand on a variable's value, and that look after it.
_READS = {"Identity", "ReadVariableOp", "Cast"}
_CARES = {
    "Assign",
    "AssignVariableOp",
    "IsVariableInitialized",
    "VarIsInitializedOp",
}

# One of the pieces that a partitioner of TensorFlow 1 cuts a variable into.
_PARTITION = re.compile(r"part_\d+")


def describe(variables: list) -> tuple[Variable, ...]:
    """Returns names, layers and shapes of variables, in the given order.

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


def forward_order(variables: list, graph) -> list[int]:
    """Returns the variables' indices in the order in which a step reads them.

    In a traced step the forward pass is the first to read a variable, so the
    order is that of the computation, also for a subclassed model whose layers
    were created in another order. Without a graph it is the given order.

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
    # Only the outermost graph that reads a variable sets its place, and what
    # no graph reads keeps its place at the end.
    last = max(first_use.values(), default=0) + 1
    handles = [getattr(tf_variable(v), "handle", None) for v in variables]
    return sorted(
        range(len(variables)),
        key=lambda index: first_use.get(id(handles[index]), last),
    )


def handles(graph, variables: list) -> dict[str, tf.Variable]:
    """Returns variables by the names that their handles have in a graph;
    those that it does not use are left out.

    Args:
        graph: A graph, or an `eager.Ops`.
        variables: `tf.Variable`s.
    """
    if tracing.session_graph(graph) is not None:
        return {_handle(v).name: v for v in variables}
    own = {id(v.handle): v for v in variables if hasattr(v, "handle")}
    return {
        internal.name: own[id(external)]
        for external, internal in getattr(graph, "captures", ())
        if id(external) in own
    }


def origins(graph) -> dict[str, int]:
    """Returns what identifies the variables (and all else) that a graph takes
    from outside, by the names that they have in it; a graph that a session
    runs takes nothing, and there the name is enough."""
    captures = getattr(graph, "captures", ())
    return {internal.name: id(external) for external, internal in captures}


def without_gradient(graph, trained: list) -> dict[str, str]:
    """Returns names of the variables of a graph that are not trained, by the
    names of their handles there.

    Args:
        graph: A graph, or an `eager.Ops`.
        trained: `tf.Variable`s.
    """
    ours = handles(graph, trained)
    if tracing.session_graph(graph) is not None:
        key = tf.compat.v1.GraphKeys.GLOBAL_VARIABLES
        present = {_handle(v).name: v.name for v in graph.get_collection(key)}
    else:
        present = {
            internal.name: internal.name
            for _, internal in getattr(graph, "captures", ())
            if internal.dtype == tf.resource
        }
    return {k: name for k, name in present.items() if k not in ours}


def _handle(variable) -> tf.Tensor:
    handle = getattr(variable, "handle", None)
    return variable._ref() if handle is None else handle


def _first_use(variable) -> float:
    """Returns where in its graph the first op is that works with a variable's
    value: not where it is merely initialised, read or checked."""
    pending = [_handle(variable)]
    first = math.inf
    while pending:
        for consumer in pending.pop().consumers():
            if consumer.type in _READS:
                pending.extend(consumer.outputs)
            elif consumer.type not in _CARES:
                first = min(first, consumer._id)
    return first


def tf_variable(variable):
    """Returns the `tf.Variable` behind a Keras variable; of one that several
    replicas have, the first one's."""
    return replicas.local(_inner(variable))


def own_variable(variable):
    """Returns the `tf.Variable` behind a Keras variable; of one that several
    replicas have, that of the replica whose code runs."""
    return replicas.own(_inner(variable))


def _inner(variable):
    if _is_keras(variable):
        variable = getattr(variable, "value", variable)
    if hasattr(variable, "true_dtype"):  # tf_keras, in mixed precision
        variable = variable._variable
    return variable


def value(variable) -> tf.Tensor:
    """Returns what a variable (or a number) holds now, on one replica."""
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
        len(path) > 2 and path[0] == paths[0][0] for path in paths
    ):
        paths = [path[1:] for path in paths]
    return paths


def _unique_layers(paths: list[list[str]]) -> list[str]:
    """Returns a layer for each path, such that names are unique."""
    taken = {"/".join(path[:-1]) for path in paths}
    renamed: dict[tuple[str, int], str] = {}
    seen: collections.Counter = collections.Counter()
    layers = []
    for path in paths:
        layer = "/".join(path[:-1])
        copy = seen["/".join(path)]
        seen["/".join(path)] += 1
        if copy and (layer, copy) not in renamed:
            number = copy
            while f"{layer}_{number}" in taken:
                number += 1
            renamed[layer, copy] = f"{layer}_{number}"
            taken.add(f"{layer}_{number}")
        layers.append(renamed.get((layer, copy), layer))
    return layers
