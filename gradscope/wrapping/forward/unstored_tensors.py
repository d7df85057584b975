"""Replaces tensors of a forward pass that its step does not store.

To read them would keep TensorFlow from merging or leaving out operations, which
changes the last bits of a training.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from gradscope.runtime import operations, replay_fusion
from gradscope.wrapping.forward.forward_pass import ForwardPass


def repeat(
    forward_pass: ForwardPass,
    grads: list,
    graph: tf.Graph,
    weights: Callable[[], dict[str, tf.Tensor]],
) -> ForwardPass:
    """Compute outputs of the model and a loss again, unless they are stored.

    Args:
        forward_pass: The step's forward pass.
        grads: The step's gradients, which TensorFlow computes in any case.
        graph: The graph of the step.
        weights: Returns values of the weights, by the names of the tensors of
            `graph` that read them.

    Returns:
        The same forward pass with copies, which belong to the current graph.
    """
    inside = {
        name: tensor
        for name, tensor in forward_pass.data.items()
        if replay_fusion.is_inside(tensor)
    }
    loss, needed = forward_pass.loss, set()
    is_stored = loss is None or forward_pass.loss_is_computed
    if not is_stored:
        needed = operations.ancestor_keys(grads)
        is_stored = not replay_fusion.brings_back_a_reader(loss, needed)
    if is_stored and not inside:
        return forward_pass
    values = weights()
    data = {
        name: replay_fusion.repeat(tensor, graph, values)
        for name, tensor in inside.items()
    }
    readable = dataclasses.replace(
        forward_pass, data={**forward_pass.data, **data}
    )
    if not is_stored:
        readable.loss = replay_fusion.repeat_unneeded(
            loss, needed, graph, values
        )
    return readable
