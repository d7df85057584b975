"""Learning rates of a Keras 3 optimizer, which may have several."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from gradscope.runtime import tf_variables
from gradscope.wrapping.optimizers import keras_versions


def parts_of(optimizer: Any) -> list[Any]:
    """The optimizers that update variables: a `MultiOptimizer`'s parts, or
    itself."""
    return getattr(optimizer, "optimizers", None) or [optimizer]


def part_of(optimizer: Any, variable: Any) -> Any:
    """The part of a built optimizer that updates a variable."""
    parts = parts_of(optimizer)
    if parts == [optimizer]:
        return optimizer
    key = optimizer._var_key(variable)
    return parts[optimizer._var_to_optimizer_idx[key]]


def assign_parts(optimizer: Any, variables: list[Any]) -> None:
    """Make a `MultiOptimizer` assign a part to each variable.

    Its first `apply` would call its user's function for that, which may create
    an optimizer in each call. So the function is not called a second time, but
    earlier, in the same way as in `apply`.
    """
    if hasattr(optimizer, "_optimizer_map") and not optimizer.built:
        optimizer.build(variables)
        optimizer.built = True


def has_several_rates(optimizer: Any) -> bool:
    """Return whether variables may have learning rates of their own."""
    return parts_of(optimizer) != [optimizer] or _adam_ratio(optimizer) != 1


def part_names(optimizer: Any, variables: Sequence[Any]) -> list[str]:
    """Name the part that updates each variable.

    A name is the class of the part, and a number from the second part of a
    class on: `"SGD"`, `"SGD_1"`.
    """
    counts: dict[str, int] = collections.Counter()
    names = {}
    for part in parts_of(optimizer):
        name = type(part).__name__
        number = counts[name]
        names[part] = f"{name}_{number}" if number else name
        counts[name] += 1
    return [names[part_of(optimizer, variable)] for variable in variables]


def variable_rates(optimizer: Any, variables: list[Any]) -> list[tf.Tensor]:
    """The learning rates of the next step, a float32 scalar for each variable.

    NaN for a user's own function, which must not be called a second time.
    """
    owners = [part_of(optimizer, variable) for variable in variables]
    rates = {part: _rate(part) for part in dict.fromkeys(owners)}
    return [
        rates[part] * _factor(part, variable)
        for part, variable in zip(owners, variables, strict=True)
    ]


def common_rate(optimizer: Any) -> tf.Tensor:
    """The learning rate of the next step, float32 scalar.

    NaN for parts with several rates, and for a user's own function, which must
    not be called a second time.
    """
    if parts_of(optimizer) == [optimizer]:
        return _rate(optimizer)
    variables = optimizer._trainable_variables if optimizer.built else []
    owners = dict.fromkeys(part_of(optimizer, v) for v in variables)
    if not owners:
        return tf.constant(float("nan"))
    rates = tf.stack([_rate(part) for part in owners])
    is_common = tf.reduce_all(rates == rates[0])  # never true of NaN
    return tf.where(is_common, rates[0], float("nan"))


def _rate(part: Any) -> tf.Tensor:
    # Not at the top, since a program with tf_keras alone need not load Keras 3.
    from keras.optimizers.schedules import LearningRateSchedule

    # The public `learning_rate` would call the user's function.
    rate = part._learning_rate
    if callable(rate) and not isinstance(rate, LearningRateSchedule):
        return tf.constant(float("nan"))
    return tf.cast(tf_variables.value(part.learning_rate), tf.float32)


def _adam_ratio(optimizer: Any) -> float:
    """Factor of the learning rate of variables that `Muon` leaves to Adam."""
    return getattr(optimizer, "adam_lr_ratio", 1)


def _factor(part: Any, variable: Any) -> float:
    ratio = _adam_ratio(part)
    if ratio == 1 or not part._should_use_adamw(variable):
        return 1.0
    return ratio


def update_inputs(optimizer: Any) -> list[tf.Variable]:
    """The variables from which the learning rates come: the rates themselves,
    or the counts of steps that schedules read."""
    inputs = []
    for part in parts_of(optimizer):
        rate = part._learning_rate
        if not hasattr(rate, "assign"):  # a schedule, a function
            rate = keras_versions.call_count(part)
        inputs.append(tf_variables.tf_variable(rate))
    return list({variable.ref(): variable for variable in inputs}.values())
