"""Contexts for gradscope's ops in a graph of the user's that a session runs.

The ops are on a device that can run them, and in no collection.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from gradscope.runtime import own_variables, scopes, tracing


def host_ops() -> contextlib.AbstractContextManager:
    """Device scope of ops that only the CPU can run."""
    return tf.device("/device:CPU:0")


def _task() -> str:
    """The job and task of the user's `tf.device`, without its device.

    Some ops of gradscope cannot run on a GPU.
    """
    # A graph has no public way to ask for the present device; a new operation
    # has it.
    device = tf.DeviceSpec.from_string(tf.no_op("place").device)
    if device.job == "ps":
        raise NotImplementedError(
            f"its train op is placed on {device.to_string()}, a parameter "
            "server, which cannot deliver measurements to this process. Call "
            "`apply_gradients` on a worker's device"
        )
    return device.replace(device_type=None, device_index=None).to_string()


@contextlib.contextmanager
def untracked_ops(graph: tf.Graph) -> Iterator[None]:
    """Context for gradscope's ops in the user's graph, which leave no other
    trace.

    The graph's collections stay as they are.
    """
    graphs = tracing.outermost_first(graph)
    # `get_collection` returns copies, so these stay as they are.
    before = [{n: g.get_collection(n) for n in g.collections} for g in graphs]
    try:
        with own_variables.unchecked(), graph.name_scope(scopes.SCOPE):
            task = _task()
            with (
                # This resets the device, too.
                graph.colocate_with(None, ignore_existing=True),
                tf.device(task),
            ):
                yield
    finally:
        for g, collections in zip(graphs, before, strict=True):
            _restore_collections(g, collections)


def _restore_collections(graph, before: dict) -> None:
    # `tf.cond` of TensorFlow 1 adds its context to a collection, and that of
    # TensorFlow 2 makes empty collections.
    for name in graph.collections:
        if name not in before:
            graph.clear_collection(name)
        elif graph.get_collection(name) != before[name]:
            graph.get_collection_ref(name)[:] = before[name]
