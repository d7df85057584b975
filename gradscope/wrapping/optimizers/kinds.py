"""The kinds of optimizers that can be observed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradscope.wrapping.optimizers import (
    compat_v1,
    keras,
    tf_keras,
    tf_keras_legacy,
)
from gradscope.wrapping.optimizers.kind import OptimizerKind

#: All kinds; an optimizer is of the first that supports it.
KINDS: Sequence[OptimizerKind] = (keras, tf_keras, tf_keras_legacy, compat_v1)


def kind_of(optimizer: Any) -> OptimizerKind | None:
    """The kind of an optimizer; None if it is of no supported kind."""
    return next((k for k in KINDS if k.is_supported(optimizer)), None)


def names() -> str:
    """List the names of all kinds, as in `"Keras 3, tf_keras or ..."`."""
    *first, last = [kind.NAME for kind in KINDS]
    return f"{', '.join(first)} or {last}"
