"""Differences between the optimizers of the versions of Keras 3.

Keras 3.5 made three changes, and all who need to know of them ask here:

* Optimizers that accumulate gradients count steps. Before, they count calls.
* They clip the mean of the accumulated gradients. Before, they clip the
  gradients of each call, and accumulate these.
* Replicas add up their gradients. Before, each trains with its own.
"""

from __future__ import annotations

import sys
from typing import Any

import tensorflow as tf

from gradscope.runtime import scopes, tf_variables, versions
from gradscope.wrapping.call import clips

_CHANGED = (3, 5)


def _is_before_the_change() -> bool:
    return versions.version_of("keras") < _CHANGED


def call_count(optimizer: Any) -> Any:
    """The variable that counts the calls of an optimizer's `apply`."""
    if _is_before_the_change():
        return optimizer.iterations
    return optimizer._iterations


def step(optimizer: Any) -> tf.Tensor:
    """The optimizer's step before its update, an integer scalar."""
    count = tf_variables.value(optimizer.iterations)
    calls = optimizer.gradient_accumulation_steps or 1
    if calls == 1 or not _is_before_the_change():
        return count
    with tf.name_scope(scopes.SCOPE):
        return count // calls


def clips_first(optimizer: Any) -> bool:
    """Return whether an optimizer accumulates gradients that it has clipped."""
    return (
        _is_before_the_change()
        and bool(optimizer.gradient_accumulation_steps)
        and clips(optimizer)
    )


def clips_first_warning() -> str:
    """The warning that gradients before clipping are unknown."""
    return (
        f"Keras {sys.modules['keras'].__version__} clips the gradients of each "
        "call before it accumulates them, so `gradient_norm` and its like are "
        "those of the clipped gradients. From Keras 3.5 on, gradients are "
        "clipped after they were accumulated, and gradscope records both."
    )


def replicas_apart() -> str | None:
    """Explain that replicas do not train together; None if they do."""
    if not _is_before_the_change():
        return None
    return (
        f"Keras {sys.modules['keras'].__version__} does not add up the "
        "gradients of replicas, so each trains a model of its own. Run: "
        "pip install 'keras>=3.5'"
    )
