"""Learning rates of a Keras 3 optimizer, which may have several."""

from __future__ import annotations

import collections

import tensorflow as tf

from gradscope.runtime import tf_variables


def parts_of(optimizer) -> list:
    """Returns the optimizers that update variables: of a `MultiOptimizer`
    its parts, or the optimizer itself."""
    return getattr(optimizer, "optimizers", None) or [optimizer]


def part_of(optimizer, variable):
    """Returns the part of a built optimizer that updates a variable."""
    parts = parts_of(optimizer)
    if parts == [optimizer]:
        return optimizer
    key = optimizer._var_key(variable)
    return parts[optimizer._var_to_optimizer_idx[key]]


def know_parts(optimizer, variables: list) -> None:
    """Has a `MultiOptimizer` know which part updates which variable.

    It asks its user's function in its first `apply`, which may make an
    optimizer in each call. So it is not asked a second time, but first, in
    the way of that `apply`.
    """
    if hasattr(optimizer, "_optimizer_map") and not optimizer.built:
        optimizer.build(variables)
        optimizer.built = True


def are_several(optimizer) -> bool:
    """Returns whether variables may have learning rates of their own."""
    return parts_of(optimizer) != [optimizer] or _for_adam(optimizer) != 1


def names(optimizer, variables: list) -> list[str]:
    """Returns a name for the part that updates each variable: its class, and a
    number from the second one of a class on."""
    counts: dict = collections.Counter()
    of_part = {}
    for part in parts_of(optimizer):
        kind = type(part).__name__
        counts[kind] += 1
        behind = f"_{counts[kind] - 1}" if counts[kind] > 1 else ""
        of_part[part] = kind + behind
    return [of_part[part_of(optimizer, variable)] for variable in variables]


def of_variables(optimizer, variables: list) -> list:
    """Returns the learning rates of the step to come, a float32 scalar for
    each variable; NaN where they are only known by calling the user's own
    function a second time."""
    owners = [part_of(optimizer, variable) for variable in variables]
    rates = {part: _of_part(part) for part in dict.fromkeys(owners)}
    return [
        rates[part] * _factor(part, variable)
        for part, variable in zip(owners, variables, strict=True)
    ]


def common(optimizer) -> tf.Tensor:
    """Returns the learning rate of the step to come, float32 scalar; NaN where
    parts have several, or where it is only known by calling the user's own
    function a second time."""
    parts = parts_of(optimizer)
    if parts == [optimizer]:
        return _of_part(optimizer)
    known = optimizer._trainable_variables if optimizer.built else []
    owners = dict.fromkeys(part_of(optimizer, one) for one in known)
    if not owners:
        return tf.constant(float("nan"))
    rates = tf.stack([_of_part(part) for part in owners])
    alike = tf.reduce_all(rates == rates[0])  # NaN is like nothing
    return tf.where(alike, rates[0], float("nan"))


def _of_part(optimizer) -> tf.Tensor:
    from keras.optimizers.schedules import LearningRateSchedule

    rate = optimizer._learning_rate
    if callable(rate) and not isinstance(rate, LearningRateSchedule):
        return tf.constant(float("nan"))
    return tf.cast(tf_variables.value(optimizer.learning_rate), tf.float32)


def _for_adam(optimizer) -> float:
    """Returns by how much the learning rate of what Keras's `Muon` leaves to
    Adam is another one."""
    return getattr(optimizer, "adam_lr_ratio", 1)


def _factor(optimizer, variable) -> float:
    ratio = _for_adam(optimizer)
    if ratio == 1 or not optimizer._should_use_adamw(variable):
        return 1.0
    return ratio
