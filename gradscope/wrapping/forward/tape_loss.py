"""Finds the loss of a loop of one's own in the graph of its step.

`tape.gradient(loss, variables)` starts from a constant of ones. Before it, the
forward pass ends in the loss: the one tensor of the constant's shape that
depends on trained variables and that nothing else uses. Where that is not
certain, as with two losses, or with a gradient inside of the loss, the loss is
not known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from gradscope.runtime import operations, scopes, tf_variables, tracing

if TYPE_CHECKING:
    from gradscope.wrapping.call import Call

#: Part of the names of the gradients of gradients.
_TWICE = "gradient_tape/gradient_tape"


def find(call: Call) -> tf.Tensor | None:
    """Find the loss whose gradients a call has; None if it is not certain.

    Args:
        call: The optimizer's call, in a graph that is being built.
    """
    gradients = [g for g in call.grads if tf.is_symbolic_tensor(g)]
    graphs = {id(gradient.graph): gradient.graph for gradient in gradients}
    if len(graphs) != 1 or _is_replicated():
        return None
    (graph,) = graphs.values()
    if tracing.session_graph(graph) is not None:
        return None
    forward, backward = _last_step(graph)
    seeds = [op for op in backward if _is_seed(op)]
    if len(seeds) != 1 or any(_TWICE in op.name for op in backward):
        return None
    ends = _ends(forward, seeds[0].outputs[0].shape, _dependants(call, forward))
    if len(ends) != 1:
        return None
    return _without_scale(ends[0], call)


def _is_replicated() -> bool:
    return tf.distribute.get_strategy().num_replicas_in_sync > 1


def _last_step(graph: tf.Graph) -> tuple[list, list]:
    """List the operations since the last update: up to the first that computes
    a gradient, and from there on."""
    forward: list = []
    backward: list = []
    for operation in graph.get_operations():
        if scopes.is_ours(operation.name):
            continue
        is_gradient = operations.is_backward(operation.name)
        if backward and operations.is_update(operation):
            forward, backward = [], []
        elif backward or is_gradient or _is_seed(operation):
            backward.append(operation)
        else:
            forward.append(operation)
    return forward, backward


def _is_seed(operation: tf.Operation) -> bool:
    """Return whether a constant of ones is the start of a tape."""
    if operation.type != "Const" or not operation.name.rpartition("/")[
        2
    ].startswith("ones"):
        return False
    uses = operation.outputs[0].consumers()
    return bool(uses) and all(operations.is_backward(op.name) for op in uses)


def _dependants(call: Call, forward: list) -> set[str]:
    """Names of the tensors that depend on variables that the call trains."""
    dependants: set[str] = set()
    if forward:
        dependants |= set(
            tf_variables.handles(forward[0].graph, call.variables)
        )
    for operation in forward:
        if any(tensor.name in dependants for tensor in operation.inputs):
            dependants |= {tensor.name for tensor in operation.outputs}
    return dependants


def _ends(
    forward: list, shape: tf.TensorShape, dependants: set[str]
) -> list[tf.Tensor]:
    """List the float tensors of a shape that no forward operation uses."""
    names = {operation.name for operation in forward}
    return [
        tensor
        for operation in forward
        for tensor in operation.outputs
        if tensor.name in dependants
        and tensor.dtype.is_floating
        and tensor.shape.is_fully_defined()
        and tensor.shape == shape
        and not any(op.name in names for op in tensor.consumers())
        and not _is_beside(tensor, names)
    ]


def _is_beside(tensor: tf.Tensor, names: set[str]) -> bool:
    """Return whether a tensor is what a function with a gradient of its own,
    such as `silu`, leaves beside its results: copies of its arguments in one
    `IdentityN` with them, and a copy of a result that nobody uses."""
    if tensor.op.type == "Identity":
        users = tensor.op.inputs[0].consumers()
        return any(op.type == "IdentityN" for op in users)
    if tensor.op.type != "IdentityN":
        return False
    path = [tensor.op.name]
    source = tensor.op.inputs[tensor.value_index]
    while source.op.type == "Identity":
        path.append(source.op.name)
        source = source.op.inputs[0]
    return any(
        op.name in names and op.name not in path for op in source.consumers()
    )


def _without_scale(loss: tf.Tensor, call: Call) -> tf.Tensor | None:
    """Undo the product with a loss scale, if there is one."""
    scale = tf.get_static_value(call.loss_scale())
    # NaN says that there is no scale.
    if scale is not None and scale != scale:
        return loss
    if loss.op.type != "Mul":
        return None
    # The scale is read from a variable, and the loss takes the whole model.
    return max(loss.op.inputs, key=lambda t: len(operations.ancestor_keys([t])))
