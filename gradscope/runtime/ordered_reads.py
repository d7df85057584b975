"""Reads variables before XLA updates them, and leaves the updates as they are.

XLA updates a variable in place. If its old value is still needed afterwards,
and nothing says that it is read before the update, XLA copies the variable
first, and the update reads the copy. A kernel that does not work in place is
compiled to other vector instructions, some of which round a product that the
others do not: the last bit of a weight changes.
"""

from __future__ import annotations

import tensorflow as tf

#: Operations that take a variable's handle and leave its value alone.
_READS = ("ReadVariableOp", "ResourceGather", "ResourceGatherNd")


def read_before_updates(
    due: tf.Tensor,
    variables: list[tf.Variable],
    update_inputs: list[tf.Variable],
) -> list[tf.Tensor]:
    """Read variables in a step that XLA compiles, before it updates them.

    A conditional makes the copies. It also passes `update_inputs` on, so that
    XLA knows that the updates come later.

    Args:
        due: Whether the values are needed, bool scalar.
        variables: The variables.
        update_inputs: Small variables that every update reads, as the learning
            rate. They keep their values.

    Returns:
        The values of `variables`; zeros if they are not due.
    """
    passed = [tf.convert_to_tensor(v) for v in update_inputs]

    def outputs(values: list[tf.Tensor]) -> list[tf.Tensor]:
        return [tf.identity(t) for t in [*passed, *values]]

    results = tf.nest.flatten(
        tf.cond(
            due,
            lambda: outputs([tf.convert_to_tensor(v) for v in variables]),
            lambda: outputs([_zeros(v) for v in variables]),
        )
    )
    for variable, value in zip(update_inputs, results, strict=False):
        variable.assign(value, read_value=False)
    return results[len(passed) :]


def _zeros(variable: tf.Variable) -> tf.Tensor:
    if variable.shape.is_fully_defined():
        return tf.zeros(variable.shape, variable.dtype)
    return tf.zeros_like(variable)  # XLA knows its shape


def reads_of(
    graph: tf.Graph, handles: dict[str, tf.Variable]
) -> dict[str, tf.Variable]:
    """Map the names of tensors that are variables' present values to these.

    Variables that the graph has changed so far are left out.

    Args:
        graph: The graph of a step.
        handles: The variables by the names of their handles in the graph.
    """
    consumers: dict[str, list[tf.Operation]] = {name: [] for name in handles}
    for operation in graph.get_operations():
        for tensor in operation.inputs:
            if tensor.name in consumers:
                consumers[tensor.name].append(operation)
    return {
        operation.outputs[0].name: handles[name]
        for name, operations in consumers.items()
        if all(operation.type in _READS for operation in operations)
        for operation in operations
        if operation.type == "ReadVariableOp"
    }
