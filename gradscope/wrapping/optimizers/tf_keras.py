"""The seam of tf_keras's current optimizers (Keras 2)."""

from __future__ import annotations

import sys

from gradscope.runtime.stand_in import MethodReplacement
from gradscope.wrapping.optimizers.loss_scale import innermost
from gradscope.wrapping.optimizers.tf_keras_seam import (
    TfKerasSeam,
    strategy,
    unsupported,
)

__all__ = ["SEAM", "innermost", "is_supported", "strategy", "unsupported"]


def is_supported(optimizer) -> bool:
    """Returns whether this is one of tf_keras's current optimizers."""
    # `tf.keras` is tf_keras too, with TF_USE_LEGACY_KERAS=1.
    tf_keras = sys.modules.get("tf_keras")
    return tf_keras is not None and isinstance(
        optimizer, tf_keras.optimizers.Optimizer
    )


class CurrentSeam(TfKerasSeam):
    """Stands in for `apply_gradients` of one of the current optimizers.

    These are built once, for all their variables. `apply_gradients` may be
    called with some of them at a time.
    """

    def __init__(self, optimizer, options):
        self._built_for: list = []
        self._build = MethodReplacement(
            innermost(optimizer), "build", self._observe_build
        )
        super().__init__(optimizer, options)

    def all_variables(self, passed):
        return self._built_for or passed

    def other_replacements(self):
        return [*super().other_replacements(), self._build]

    def _observe_build(self, var_list):
        """Stands in for `build`, which every call calls again."""
        variables = list(var_list)
        if not getattr(self.optimizer, "_built", False):
            self._built_for = variables
        return self._build.original(variables)


#: What the other kinds of optimizer call theirs, too.
SEAM = CurrentSeam
