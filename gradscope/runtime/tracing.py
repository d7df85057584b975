"""Answers questions about the graph that is being traced."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

# Has no public name: the graph of a branch of a conditional.
from tensorflow.python.ops.control_flow_v2_func_graphs import (
    CondBranchFuncGraph,
)

# Random operations whose counter lives in the kernel, one per traced program.
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


def current_graph() -> tf.Graph | None:
    """Graph that is being built; None when executing eagerly."""
    if tf.executing_eagerly():
        return None
    return tf.compat.v1.get_default_graph()


def runs_alone() -> bool:
    """Return whether this code runs eagerly, and is not that of a function that
    `tf.config.run_functions_eagerly` runs so."""
    return tf.executing_eagerly() and not tf.config.functions_run_eagerly()


def outermost_first(graph: tf.Graph | None) -> list[tf.Graph]:
    """List a graph and those around it, the outermost first; [] for None."""
    graphs = []
    while graph is not None:
        graphs.insert(0, graph)
        graph = getattr(graph, "outer_graph", None)
    return graphs


def session_graph(graph: tf.Graph | None) -> tf.Graph | None:
    """Graph, or the one around it, that a `tf.compat.v1.Session` will run;
    None for the graph of a function, and in eager mode."""
    # A function that is traced in eager mode has a graph around it, too.
    if graph is None or tf.compat.v1.executing_eagerly_outside_functions():
        return None
    return outermost_first(graph)[0]


def convert_with_autograph(function: Callable) -> Callable:
    """Convert a function as AutoGraph would, where it is at work.

    A user's own optimizer may have an `if` on a tensor.
    """
    context = tf.__internal__.autograph.control_status_ctx()
    if context.status.name != "ENABLED":
        return function
    return tf.__internal__.autograph.tf_convert(function, context)


def in_xla(graph: tf.Graph | None) -> bool:
    """Whether a graph is traced to be compiled by XLA."""
    contexts = [g._get_control_flow_context() for g in outermost_first(graph)]
    return any(c is not None and c.IsXLAContext() for c in contexts)


def in_xla_branch(graph: tf.Graph | None) -> bool:
    """Whether a graph is traced inside of a conditional that XLA compiles."""
    return any(
        isinstance(g, CondBranchFuncGraph) and in_xla(g.outer_graph)
        for g in outermost_first(graph)
    )


def has_program_state(graph: tf.Graph | None) -> bool:
    """Whether a step holds random operations that count in their kernel."""
    for nested in outermost_first(graph):
        if any(op.type in _PROGRAM_STATE for op in nested.get_operations()):
            return True
        # Branches and loops have their operations in functions of the library.
        for function in nested.as_graph_def().library.function:
            if any(node.op in _PROGRAM_STATE for node in function.node_def):
                return True
    return False
