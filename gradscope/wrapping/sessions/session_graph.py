"""Where ops of ours are put into a graph that a session runs: beside the
user's, on no device that cannot run them, and in no collection."""

from __future__ import annotations

import contextlib

import tensorflow as tf

from gradscope.runtime import own_variables, scopes, tracing


def host_ops():
    """Returns the context of ops that have no kernel elsewhere."""
    return tf.device("/device:CPU:0")


def _task() -> str:
    """Returns the job and task of the user's `tf.device`, without a device:
    not every op of ours has a kernel for a GPU."""
    device = tf.DeviceSpec.from_string(tf.no_op("place").device)
    if device.job == "ps":
        raise NotImplementedError(
            f"its train op is placed on {device.to_string()}, a parameter "
            "server, from where nothing can be delivered to this process. "
            "Call `apply_gradients` on a worker's device"
        )
    return device.replace(device_type=None, device_index=None).to_string()


@contextlib.contextmanager
def untracked_ops(graph):
    """A place for ops of ours, in the graph of the user's, that leaves no trace
    but the ops."""
    graphs = tracing.outermost_first(graph)
    before = [{n: g.get_collection(n) for n in g.collections} for g in graphs]
    try:
        with own_variables.unchecked(), graph.name_scope(scopes.SCOPE):
            task = _task()
            with (
                # Resets the device, too.
                graph.colocate_with(None, ignore_existing=True),
                tf.device(task),
            ):
                yield
    finally:
        for g, collections in zip(graphs, before, strict=True):
            _restore_collections(g, collections)


def _restore_collections(graph, before: dict) -> None:
    # `tf.cond` of TensorFlow 1 notes its context there, that of TensorFlow 2
    # makes empty lists.
    for name in graph.collections:
        if name not in before:
            graph.clear_collection(name)
        elif graph.get_collection(name) != before[name]:
            graph.get_collection_ref(name)[:] = before[name]
