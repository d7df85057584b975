"""The seam of tf_keras's current optimizers (Keras 2)."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from gradscope.runtime.method_replacement import MethodReplacement
from gradscope.wrapping.optimizers.loss_scale import innermost
from gradscope.wrapping.optimizers.tf_keras_seam import (
    TfKerasSeam,
    strategy,
    unsupported,
)
from gradscope.wrapping.steps.observer import Options

__all__ = [
    "NAME",
    "SEAM",
    "innermost",
    "is_supported",
    "strategy",
    "unsupported",
]

NAME = "tf_keras"


def is_supported(optimizer: Any) -> bool:
    """Return whether an optimizer is one of tf_keras's current ones."""
    # With TF_USE_LEGACY_KERAS=1, `tf.keras` is tf_keras, too.
    tf_keras = sys.modules.get("tf_keras")
    return tf_keras is not None and isinstance(
        optimizer, tf_keras.optimizers.Optimizer
    )


class CurrentSeam(TfKerasSeam):
    """Replacement of `apply_gradients` of one current optimizer.

    The optimizer is built once, for all its variables. `apply_gradients` may be
    called with some of them at a time.
    """

    def __init__(self, optimizer: Any, options: Options, outer: Any = None):
        super().__init__(optimizer, options, outer)
        self._built_for: list[Any] = []
        self._build = MethodReplacement(optimizer, "build", self._observe_build)

    def all_variables(self, passed: list[Any]) -> list[Any]:
        """The variables that the optimizer was built for, or the call's."""
        return self._built_for or passed

    def other_replacements(self) -> list[Any]:
        """The replacements of each tf_keras optimizer, and of `build`."""
        return [*super().other_replacements(), self._build]

    def _observe_build(self, var_list: Iterable[Any]) -> Any:
        """Replacement of `build`, which each call of the optimizer calls."""
        variables = list(var_list)
        if not getattr(self.optimizer, "_built", False):
            self._built_for = variables
        return self._build.original(variables)


SEAM = CurrentSeam
