"""Finds sums that TensorFlow's `AddN` may add up in more than one order.

`AddN` begins with the first term whose memory nobody else needs any more, and
adds the others to it. A term that has another reader may or may not be free by
then, and a constant never is. If this holds for two terms, the sum begins with
the first, the second or the third term, as the threads happen to run; so the
last bit may differ from one run, or one number of threads, to the next.
(TensorFlow 2.21: findings/tensorflow_addn_begins_with_a_free_term.sh.)
"""

from __future__ import annotations

import tensorflow as tf

#: Operations whose result has the memory of their first input.
_ALIASES = ("Reshape", "Identity", "ExpandDims", "Squeeze")

#: A constant is folded from few operations; a longer search costs time.
_MOST_OPERATIONS = 50


def unordered_terms(graph: tf.Graph | None) -> list[str]:
    """Names of the sums of a graph that have no fixed order.

    Args:
        graph: The graph of a function; None in eager mode, which runs one
            operation at a time.
    """
    if graph is None:
        return []
    return [
        operation.name
        for operation in graph.get_operations()
        if operation.type == "AddN"
        # Two terms have the same sum in either order.
        and len(operation.inputs) > 2
        and sum(map(_may_be_in_use, operation.inputs)) > 1
    ]


def _may_be_in_use(term: tf.Tensor) -> bool:
    while term.op.type in _ALIASES and len(term.consumers()) == 1:
        term = term.op.inputs[0]
    return len(term.consumers()) > 1 or _is_constant(term)


def _is_constant(tensor: tf.Tensor) -> bool:
    """Whether TensorFlow can compute a tensor before the program runs."""
    remaining, visited = [tensor.op], set()
    while remaining:
        operation = remaining.pop()
        if operation.name in visited or operation.type == "Const":
            continue
        visited.add(operation.name)
        if len(visited) > _MOST_OPERATIONS:
            return False
        if operation.type == "Shape":
            if not operation.inputs[0].shape.is_fully_defined():
                return False
        elif operation.inputs:
            remaining += [tensor.op for tensor in operation.inputs]
        else:
            return False
    return True
