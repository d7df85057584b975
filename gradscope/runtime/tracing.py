"""What the graph of a step that is being traced says about it."""

from __future__ import annotations

import tensorflow as tf

# Their counter lives in the kernel, one for each traced program.
_PROGRAM_STATE = {
    "Multinomial",
    "ParameterizedTruncatedNormal",
    "RandomGamma",
    "RandomPoisson",
    "RandomPoissonV2",
    "RandomShuffle",
    "RandomStandardNormal",
    "RandomUniform",
    "RandomUniformInt",
    "TruncatedNormal",
}


def current_graph():
    """Returns the graph that is being built, None when executing eagerly."""
    if tf.executing_eagerly():
        return None
    return tf.compat.v1.get_default_graph()


def outermost_first(graph) -> list:
    """Returns a graph and all that it is nested in, the outermost first."""
    graphs = []
    while graph is not None:
        graphs.insert(0, graph)
        graph = getattr(graph, "outer_graph", None)
    return graphs


def session_graph(graph):
    """Returns the graph, or the one around it, that a `tf.compat.v1.Session`
    is to run; None if it is a function's, or in eager mode."""
    # A function that is traced in eager mode has a graph around it, too.
    if graph is None or tf.compat.v1.executing_eagerly_outside_functions():
        return None
    return outermost_first(graph)[0]


def converted(function):
    """Returns a function as AutoGraph, where it is at work, would call it.

    A user's own optimizer may say `if` to a tensor.
    """
    context = tf.__internal__.autograph.control_status_ctx()
    if context.status.name != "ENABLED":
        return function
    return tf.__internal__.autograph.tf_convert(function, context)


def in_xla(graph) -> bool:
    """Returns whether a graph is traced to be compiled by XLA."""
    contexts = [g._get_control_flow_context() for g in outermost_first(graph)]
    return any(c is not None and c.IsXLAContext() for c in contexts)


def has_program_state(graph) -> bool:
    """Returns whether a step holds random ops that count in their kernel."""
    for nested in outermost_first(graph):
        if any(op.type in _PROGRAM_STATE for op in nested.get_operations()):
            return True
        for function in nested.as_graph_def().library.function:
            if any(node.op in _PROGRAM_STATE for node in function.node_def):
                return True
    return False
