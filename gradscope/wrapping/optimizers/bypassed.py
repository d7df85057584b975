"""What tells that a training went past an optimizer that is observed.

Nothing is said of an optimizer that was merely wrapped and not used: programs
that only evaluate, or that a framework builds in vain, are healthy. There must
be a sign that somebody trained.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import weakref
from collections.abc import Callable

import tensorflow as tf

# Has no public name: the number that the next variable will have.
from tensorflow.python.framework import ops

from gradscope.runtime import tf_variables
from gradscope.runtime.stand_in import MethodReplacement
from gradscope.wrapping.optimizers.loss_scale import innermost

#: All optimizers that are or were observed, by their `id`.
_observed: weakref.WeakValueDictionary = weakref.WeakValueDictionary()

#: Packages whose `minimize` is known to call what is observed.
_PACKAGES_WITH_KNOWN_MINIMIZE = ("keras", "tensorflow", "tf_keras")

#: What says that an optimizer has its variables, by the kind of optimizer.
_BUILT_FLAGS = ("built", "_built", "_hypers_created")

_TRACED_BEFORE = (
    "gradscope has seen no step of this optimizer, though it made some: the "
    "training step was traced before `wrap`. Call `gradscope.wrap(optimizer, "
    "logdir, model=model)` before `fit`, and before the first call of your own "
    "`tf.function`."
)

_WRAP_THE_OTHER = (
    "A copy is not observed, nor is what is built from a configuration: wrap "
    "the very optimizer that trains, as in `gradscope.wrap(model.optimizer, "
    "logdir, model=model)` after `compile`, or pass "
    "`gradscope.Callback(logdir)` to `fit`."
)


class BypassDetector:
    """Looks out for signs from `wrap` on.

    Args:
        optimizer: That is observed.
        method: Name of its method that is stood in for.
        logdir: Where its record was to go.
    """

    def __init__(self, optimizer, method: str, logdir: str):
        self._optimizer = optimizer
        self._method = method
        self._logdir = logdir
        self._process = os.getpid()
        self._created_since = ops.uid()
        self._model: weakref.ref | None = None
        self._model_steps = 0
        self._minimize_calls = 0
        #: Whether a step may have been traced before: a count that rises later
        #: may also have been restored.
        self._was_used = any(getattr(optimizer, n, False) for n in _BUILT_FLAGS)
        #: Stand in while the optimizer is observed.
        self.replacements: list[MethodReplacement] = []
        if _has_foreign_minimize(optimizer):
            minimize = MethodReplacement(
                optimizer, "minimize", self._count_minimize
            )
            self.replacements.append(minimize)
        _observed[id(optimizer)] = optimizer

    @property
    def can_tell(self) -> bool:
        """Whether there is anything to be known here and now: a forked worker
        knows nothing, and where an error ends the training, it says enough."""
        return os.getpid() == self._process and sys.exc_info()[0] is None

    def watch(self, model) -> None:
        """Looks at the optimizer with which a model trains, too."""
        self._model = weakref.ref(model)
        self._model_steps = _step_count(_optimizer_of(model))

    def reason_for_unseen_steps(self) -> str | None:
        """Returns how the optimizer made steps that nobody saw, None if its
        count was merely restored."""
        traced_before = _TRACED_BEFORE if self._was_used else None
        return self._reason_for_own_minimize() or traced_before

    def reason_without_steps(
        self, config: Callable[[], dict], copies: int
    ) -> str | None:
        """Returns who trained while the optimizer made no step, None if there
        is no sign that anybody did.

        Args:
            config: Returns the optimizer's configuration, empty where it is
                not known; may fail.
            copies: How many were made of the optimizer.
        """
        reason_for_minimize = self._reason_for_own_minimize()
        if reason_for_minimize is not None:
            return reason_for_minimize
        reason = None
        # What cannot be found out is no error of the user's.
        with contextlib.suppress(Exception):
            reason = self._reason_for_other_optimizer(config())
        if reason is None and copies:
            reason = (
                f"it was copied or pickled {_times(copies)}, and if that "
                "is what trains, nothing is recorded"
            )
        if reason is None:
            return None
        return f"{self._no_step_message()}: {reason}. {_WRAP_THE_OTHER}"

    def _reason_for_own_minimize(self) -> str | None:
        if not self._minimize_calls:
            return None
        name = type(self._optimizer).__name__
        return (
            f"{self._no_step_message()}: {name} has a `minimize` of its own, "
            f"which was called {_times(self._minimize_calls)} and does not call "
            f"`{self._method}`, where gradscope looks. What it trains cannot "
            "be recorded; wrap the optimizers that train the rest."
        )

    def _no_step_message(self) -> str:
        name = type(self._optimizer).__name__
        return (
            f"gradscope has seen no step of the {name} that was to be recorded "
            f"in {self._logdir}"
        )

    def _reason_for_other_optimizer(self, config: dict) -> str | None:
        """Returns which other optimizer trained, None if none did."""
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

    def _twins(self, config: dict):
        """Returns optimizers of the same configuration that were made since
        `wrap`, were never observed, and made steps."""
        kind = type(self._optimizer)
        config = _without_name(config)
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

    def _count_minimize(self, *arguments, **keywords):
        self._minimize_calls += 1
        return self.replacements[0].original(*arguments, **keywords)


def _optimizer_of(model):
    """Returns the optimizer that a model was compiled with, or None."""
    return innermost(getattr(model, "optimizer", None))


def _has_foreign_minimize(optimizer) -> bool:
    """Returns whether somebody else wrote the `minimize` of its class."""
    minimize = getattr(type(optimizer), "minimize", None)
    module = getattr(minimize, "__module__", "tensorflow")
    return module.partition(".")[0] not in _PACKAGES_WITH_KNOWN_MINIMIZE


def _step_variable(optimizer):
    """Returns the variable that counts steps, None where there is none yet:
    the property of a legacy optimizer would make one."""
    count = tf_variables.tf_variable(getattr(optimizer, "_iterations", None))
    return count if isinstance(count, tf.Variable) else None


def _step_count(optimizer) -> int:
    count = _step_variable(optimizer)
    return 0 if count is None or not tf.executing_eagerly() else int(count)


def _creation_number(optimizer) -> int:
    """Returns a number that is the greater the later an optimizer was made;
    -1 where it is not known."""
    unique = getattr(_step_variable(optimizer), "_unique_id", "")
    number = unique.rpartition("_")[2]
    return int(number) if number.isdecimal() else -1


def _without_name(config: dict) -> dict:
    return {key: value for key, value in config.items() if key != "name"}


def _steps_in_words(number: int) -> str:
    return "1 step" if number == 1 else f"{number} steps"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
