"""Tells the replicas of `tf.distribute` apart, and sums their gradients.

Every replica runs the same step on its part of the batch. The first replica of
the first worker is observed: after the all-reduce all of them have the same
gradients and the same weights.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf

#: Strategies whose replicas hold equal weights, and which tests train with.
SUPPORTED = (
    tf.distribute.MirroredStrategy,
    tf.distribute.MultiWorkerMirroredStrategy,
    tf.distribute.OneDeviceStrategy,
)


def unsupported(strategy: tf.distribute.Strategy | None) -> str | None:
    """Reason why an optimizer of a strategy cannot be observed, or None."""
    # TensorFlow's default strategy, where none is used, has no public name.
    default = type(strategy).__name__.startswith("_Default")
    if strategy is None or default or isinstance(strategy, SUPPORTED):
        return None
    names = ", ".join(kind.__name__ for kind in SUPPORTED)
    return (
        f"it belongs to a {type(strategy).__name__}, but only {names} are "
        "supported. Train with one of these, or do not wrap the optimizer"
    )


def is_first() -> bool:
    """Whether the code that runs is that of the first replica, or outside of
    any strategy."""
    return index() == 0


def index() -> int | None:
    """Number of the replica whose code runs, 0 outside of a strategy; None
    where the number is only known when the step runs."""
    if not tf.distribute.has_strategy():
        return 0
    context = tf.distribute.get_replica_context()
    if context is None:
        return 0
    index = context.replica_id_in_sync_group
    if tf.is_tensor(index):
        index = tf.get_static_value(index)
    return None if index is None else int(index)


def is_writer(strategy: tf.distribute.Strategy | None) -> bool:
    """Whether this process writes the record: of several workers only the
    chief does."""
    return strategy is None or strategy.extended.should_save_summary


def of_first(variable: tf.Variable) -> tf.Variable:
    """First replica's `tf.Variable` of a distributed variable."""
    values = getattr(variable, "_values", None)
    return values[0] if isinstance(values, tuple | list) else variable


def unseen() -> tuple[str, ...]:
    """Names of the parts of a forward pass that cannot be observed on several
    replicas."""
    strategy = tf.distribute.get_strategy()
    if strategy.num_replicas_in_sync == 1:
        return ()
    if tf.executing_eagerly():
        return ("eager steps on several replicas",)
    return ("activations of other workers",) if spans_workers(strategy) else ()


def of_current(variable: tf.Variable) -> tf.Variable:
    """`tf.Variable` of a distributed one, on the replica whose code runs."""
    values = getattr(variable, "_values", None)
    if not isinstance(values, tuple | list):
        return variable
    # A variable may have fewer copies than there are replicas: those of other
    # workers are in their processes.
    return values[min(index() or 0, len(values) - 1)]


def spans_workers(strategy: tf.distribute.Strategy) -> bool:
    """Whether the replicas of a strategy are in several processes."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def all_reduce(grads: list) -> list:
    """Sum the gradients of all replicas, with None for None.

    All replicas have to call it.
    """
    gradients = [g for g in grads if g is not None]
    if not gradients:
        return list(grads)
    context = tf.distribute.get_replica_context()
    sums = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, gradients))
    return [g if g is None else next(sums) for g in grads]


@contextlib.contextmanager
def capture_results(
    owner: object, method: str, results: list
) -> Iterator[None]:
    """Capture the results of a method while the context is open.

    An optimizer adds up the gradients of all replicas somewhere in its own
    code. Adding them up a second time would cost as much again, and would
    hang where only one worker does it.

    Args:
        owner: Object whose instance attribute `method` is set meanwhile.
        method: Name of the method.
        results: The list to which results are appended.
    """
    original = getattr(owner, method)
    attribute = vars(owner).get(method)

    def capture(*arguments, **keywords):
        result = original(*arguments, **keywords)
        # The threads of the other replicas call the same object.
        if is_first():
            results.append(result)
        return result

    vars(owner)[method] = capture
    try:
        yield
    finally:
        if attribute is None:
            vars(owner).pop(method, None)
        else:
            vars(owner)[method] = attribute
