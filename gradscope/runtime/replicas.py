"""Several replicas of a model, as `tf.distribute` makes them.

Every replica runs the same step on its part of the batch. One of them, the
first of all workers, is observed: after the all-reduce all have the same
gradients and the same weights.
"""

from __future__ import annotations

import contextlib

import tensorflow as tf

#: Strategies whose replicas are alike and were tried.
SUPPORTED = (
    tf.distribute.MirroredStrategy,
    tf.distribute.MultiWorkerMirroredStrategy,
    tf.distribute.OneDeviceStrategy,
)


def unsupported(strategy) -> str | None:
    """Returns why an optimizer of a strategy cannot be observed, or None."""
    # The strategy of those that use none has no public name.
    default = type(strategy).__name__.startswith("_Default")
    if strategy is None or default or isinstance(strategy, SUPPORTED):
        return None
    names = ", ".join(kind.__name__ for kind in SUPPORTED)
    return (
        f"it belongs to a {type(strategy).__name__}, and only {names} are "
        "supported. Train with one of these to look at it, or do not wrap it"
    )


def is_first() -> bool:
    """Returns whether the code that runs is to be observed: that of the first
    replica, or any outside of a strategy."""
    return index() == 0


def index() -> int | None:
    """Returns the number of the replica whose code runs, 0 outside of a
    strategy; None where it is only known when the step runs."""
    if not tf.distribute.has_strategy():
        return 0
    context = tf.distribute.get_replica_context()
    if context is None:
        return 0
    index = context.replica_id_in_sync_group
    if tf.is_tensor(index):
        index = tf.get_static_value(index)
    return None if index is None else int(index)


def writes(strategy) -> bool:
    """Returns whether this process writes the record: of several workers the
    chief alone does."""
    return strategy is None or strategy.extended.should_save_summary


def local(variable):
    """Returns a replica's own `tf.Variable` of a distributed one."""
    values = getattr(variable, "_values", None)
    return values[0] if isinstance(values, tuple | list) else variable


def unseen() -> tuple[str, ...]:
    """Returns what cannot be observed of a forward pass on several replicas,
    by name."""
    strategy = tf.distribute.get_strategy()
    if strategy.num_replicas_in_sync == 1:
        return ()
    if tf.executing_eagerly():
        return ("eager steps on several replicas",)
    return ("activations of other workers",) if over_workers(strategy) else ()


def own(variable):
    """Returns the `tf.Variable` of the replica whose code runs, of a
    distributed one."""
    values = getattr(variable, "_values", None)
    if not isinstance(values, tuple | list):
        return variable
    return values[min(index() or 0, len(values) - 1)]


def over_workers(strategy) -> bool:
    """Returns whether the replicas of a strategy are in several processes."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def all_reduced(grads: list) -> list:
    """Returns the sums of the gradients of all replicas, None for None.

    To be called by all of them.
    """
    there = [g for g in grads if g is not None]
    if not there:
        return list(grads)
    context = tf.distribute.get_replica_context()
    sums = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, there))
    return [g if g is None else next(sums) for g in grads]


@contextlib.contextmanager
def noted(owner, method: str, notes: list):
    """Notes what calls of a method return while the context is entered.

    An optimizer adds up the gradients of all replicas somewhere in its own
    code. Adding them up a second time would cost as much again, and would
    hang where only one worker does it.

    Args:
        owner: Object whose instance attribute `method` is set meanwhile.
        method: Name of the method.
        notes: Gets the results.
    """
    original = getattr(owner, method)
    own = vars(owner).get(method)

    def noting(*arguments, **keywords):
        result = original(*arguments, **keywords)
        # The threads of the other replicas come by as well.
        if is_first():
            notes.append(result)
        return result

    vars(owner)[method] = noting
    try:
        yield
    finally:
        if own is None:
            vars(owner).pop(method, None)
        else:
            vars(owner)[method] = own
