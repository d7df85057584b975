"""The loss that an optimizer of TensorFlow 1 was asked to minimise."""

from __future__ import annotations

import tensorflow as tf

from gradscope.runtime import operations, tracing

_PLACEHOLDERS = ("Placeholder", "PlaceholderWithDefault")


def readable_loss(loss, grads: list):
    """Returns a loss that can be read in every step of a session without a
    change of what has to be fed; None of any other.

    Args:
        loss: As passed to `compute_gradients`: a tensor, a variable, or a
            function in eager mode.
        grads: The step's gradients.
    """
    graph = tracing.session_graph(tracing.current_graph())
    is_scalar = (
        tf.is_symbolic_tensor(loss)
        and loss.graph is graph
        and loss.shape.rank == 0
        and loss.dtype.is_floating
    )
    if not is_scalar or not operations.is_reachable(loss.op, graph):
        return None
    # A gradient need not depend on all that the loss depends on.
    fed = _placeholders(graph, operations.ancestor_keys([loss]))
    if fed - _placeholders(graph, operations.ancestor_keys(grads)):
        return None
    return loss


def _placeholders(graph, keys: set[tuple]) -> set[str]:
    operation = graph.get_operation_by_name
    return {name for _, name in keys if operation(name).type in _PLACEHOLDERS}
