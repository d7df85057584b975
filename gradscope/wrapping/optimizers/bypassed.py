"""Detects a training that bypasses an observed optimizer.

An optimizer that was wrapped and not used is healthy: a program may only
evaluate, or a framework may build an optimizer for nothing. So a warning needs
a sign that some optimizer trained.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

# Private in TensorFlow: the number that the next variable will have.
from tensorflow.python.framework import ops

from gradscope.runtime import tf_variables
from gradscope.runtime.method_replacement import MethodReplacement
from gradscope.wrapping.optimizers.loss_scale import innermost

#: All optimizers that are or were observed, by their `id`.
_observed: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()

#: Packages whose `minimize` calls the observed method.
_PACKAGES_WITH_KNOWN_MINIMIZE = ("keras", "tensorflow", "tf_keras")

#: Attributes that are true once an optimizer has its variables, by its kind.
_BUILT_FLAGS = ("built", "_built", "_hypers_created")

_TRACED_BEFORE = (
    "gradscope has observed no step of this optimizer, although it made some: "
    "the training step was traced before `wrap` was called. Call "
    "`gradscope.wrap(optimizer, logdir, model=model)` before `fit`, and before "
    "the first call of your own `tf.function`."
)

_WRAP_THE_OTHER = (
    "Copies of an optimizer and optimizers built from its configuration are "
    "not observed. Wrap the optimizer that trains, as in "
    "`gradscope.wrap(model.optimizer, logdir, model=model)` after `compile`, "
    "or pass `gradscope.Callback(logdir)` to `fit`."
)


class BypassDetector:
    """Looks for signs, from `wrap` on, that a training bypasses an optimizer.

    Args:
        optimizer: The observed optimizer.
        method: Name of its observed method.
        logdir: Directory of its record.
    """

    def __init__(self, optimizer: Any, method: str, logdir: str):
        self._optimizer = optimizer
        self._method = method
        self._logdir = logdir
        self._process = os.getpid()
        self._created_since = ops.uid()
        self._model: weakref.ref[Any] | None = None
        self._model_steps = 0
        self._minimize_calls = 0
        #: Whether a step may have been traced before `wrap`. If not, a count of
        #: steps that rises was restored from a checkpoint.
        self._was_used = any(getattr(optimizer, n, False) for n in _BUILT_FLAGS)
        #: Replacements of methods while the optimizer is observed.
        self.replacements: list[MethodReplacement] = []
        if _has_foreign_minimize(optimizer):
            minimize = MethodReplacement(
                optimizer, "minimize", self._count_minimize
            )
            self.replacements.append(minimize)
        _observed[id(optimizer)] = optimizer

    @property
    def can_tell(self) -> bool:
        """Whether a warning makes sense here and now.

        A forked worker has not seen the training, and an error that ends the
        training says enough.
        """
        return os.getpid() == self._process and sys.exc_info()[0] is None

    def watch(self, model: Any) -> None:
        """Watch the optimizer of a model, too."""
        self._model = weakref.ref(model)
        self._model_steps = _step_count(_optimizer_of(model))

    def trains_nothing(self) -> bool:
        """Return whether the model's own program exists, and trains nothing."""
        model = None if self._model is None else self._model()
        if model is None or getattr(model, "train_function", None) is None:
            return False
        return not model.trainable_variables

    def reason_for_unseen_steps(self) -> str | None:
        """Explain why the optimizer's steps were not observed.

        Returns:
            A message, None if the count of steps was restored.
        """
        traced_before = _TRACED_BEFORE if self._was_used else None
        return self._reason_for_own_minimize() or traced_before

    def reason_without_steps(
        self, config: Callable[[], dict[str, Any]], copies: int
    ) -> str | None:
        """Explain how a model trained while the optimizer made no step.

        Args:
            config: Returns the optimizer's configuration, empty if unknown; may
                fail.
            copies: Number of copies that were made of the optimizer.

        Returns:
            A message, None without a sign of any training.
        """
        reason_for_minimize = self._reason_for_own_minimize()
        if reason_for_minimize is not None:
            return reason_for_minimize
        reason = None
        # A failure of this search is no error of the user's.
        with contextlib.suppress(Exception):
            reason = self._reason_for_other_optimizer(config())
        if reason is None and copies:
            reason = (
                f"it was copied or pickled {_times(copies)}; if a copy is what "
                "trains, nothing is recorded"
            )
        if reason is None:
            return None
        return f"{self._no_step_message()}: {reason}. {_WRAP_THE_OTHER}"

    def _reason_for_own_minimize(self) -> str | None:
        if not self._minimize_calls:
            return None
        name = type(self._optimizer).__name__
        return (
            f"{self._no_step_message()}: {name} has its own `minimize`, which "
            f"was called {_times(self._minimize_calls)} and does not call "
            f"`{self._method}`, the method that gradscope observes. What it "
            "trains cannot be recorded. Wrap the optimizers that train the "
            "rest."
        )

    def _no_step_message(self) -> str:
        name = type(self._optimizer).__name__
        return (
            f"gradscope has observed no step of the {name} to be recorded in "
            f"{self._logdir}"
        )

    def _reason_for_other_optimizer(self, config: dict[str, Any]) -> str | None:
        """Name another optimizer that trained, None without one."""
        model = None if self._model is None else self._model()
        other = None if model is None else _optimizer_of(model)
        steps = _step_count(other)
        name = type(other).__name__
        if steps > self._model_steps and id(other) not in _observed:
            return (
                f"the model that was passed with it trains with another {name},"
                f" which is not observed and has made {_steps_in_words(steps)}"
            )
        for twin in self._twins(config):
            return (
                f"another {type(twin).__name__} with the same configuration, "
                "which is not observed, has made "
                f"{_steps_in_words(_step_count(twin))}"
            )
        return None

    def _twins(self, config: dict[str, Any]) -> Iterator[Any]:
        """Yield optimizers with the same configuration that trained unobserved.

        They were made since `wrap`, and no `wrap` was called with them.
        """
        kind = type(self._optimizer)
        config = _without_name(config)
        # No list of all optimizers exists but that of the garbage collector.
        return (
            other
            for other in gc.get_objects()
            if type(other) is kind
            and id(other) not in _observed
            and _creation_number(other) > self._created_since
            and _step_count(other)
            and config
            and _without_name(other.get_config()) == config
        )

    def _count_minimize(self, *arguments: Any, **keywords: Any) -> Any:
        self._minimize_calls += 1
        return self.replacements[0].original(*arguments, **keywords)


def _optimizer_of(model: Any) -> Any:
    """The optimizer that a model was compiled with, or None."""
    return innermost(getattr(model, "optimizer", None))


def _has_foreign_minimize(optimizer: Any) -> bool:
    """Return whether the class has a `minimize` of another author."""
    minimize = getattr(type(optimizer), "minimize", None)
    module = getattr(minimize, "__module__", "tensorflow")
    return module.partition(".")[0] not in _PACKAGES_WITH_KNOWN_MINIMIZE


def _step_variable(optimizer: Any) -> tf.Variable | None:
    """The variable that counts steps, None before it exists.

    The property `iterations` of a legacy optimizer would create one.
    """
    count = tf_variables.tf_variable(getattr(optimizer, "_iterations", None))
    return count if isinstance(count, tf.Variable) else None


def _step_count(optimizer: Any) -> int:
    count = _step_variable(optimizer)
    return 0 if count is None or not tf.executing_eagerly() else int(count)


def _creation_number(optimizer: Any) -> int:
    """A number that grows with the time of an optimizer's creation; -1 if
    unknown."""
    unique = getattr(_step_variable(optimizer), "_unique_id", "")
    number = unique.rpartition("_")[2]
    return int(number) if number.isdecimal() else -1


def _without_name(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key != "name"}


def _steps_in_words(number: int) -> str:
    return "1 step" if number == 1 else f"{number} steps"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
