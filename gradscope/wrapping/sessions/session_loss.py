"""The loss that an optimizer of TensorFlow 1 was asked to minimize."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from gradscope.runtime import operations, tracing

_PLACEHOLDERS = ("Placeholder", "PlaceholderWithDefault")


def readable_loss(loss: Any, grads: list) -> tf.Tensor | None:
    """Return a loss if a session can read it in every step, with the same
    feeds.

    Args:
        loss: The argument of `compute_gradients`: a tensor, a variable, or a
            function in eager mode.
        grads: The step's gradients.

    Returns:
        `loss`, a scalar; or None if a session cannot read it.
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
    # The loss may depend on a placeholder that no gradient depends on.
    fed = _placeholders(graph, operations.ancestor_keys([loss]))
    if fed - _placeholders(graph, operations.ancestor_keys(grads)):
        return None
    return loss


def _placeholders(graph, keys: set[tuple]) -> set[str]:
    operation = graph.get_operation_by_name
    return {name for _, name in keys if operation(name).type in _PLACEHOLDERS}
