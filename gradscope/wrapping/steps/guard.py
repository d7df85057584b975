"""Where observing fails, less is observed, and training goes on."""

from __future__ import annotations

import re

import tensorflow as tf

from gradscope.runtime.scopes import SCOPE
from gradscope.wrapping.forward.forward_pass import ForwardPass

#: How an error of such an operation tells its name.
_OURS = re.compile(rf"\bnode (\S*/)?{SCOPE}(_\d+)?/")

#: Lines of TensorFlow's errors before the one that says what is wrong: where
#: the operation was built.
_OF_STACK = re.compile(
    r"\s*($|Graph execution error|Detected at node|<stack traces|File \"|"
    r"\d+ root error)"
)
_NODE = re.compile(r"\{\{.*?\}\}")
_MOST = 500


def scope():
    """Returns the context of operations that are added to a step."""
    return tf.name_scope(SCOPE)


def with_forward_or_without(seam, seen: ForwardPass, measure):
    """Returns what `measure` does with a forward pass; and where that fails,
    what it does without one. That is told in one warning.

    Args:
        seam: The `Seam` whose step it is.
        seen: What there is to be seen of the forward pass.
        measure: Called with a `ForwardPass`.

    Raises:
        Exception: If it fails without a forward pass, too.
    """
    try:
        return measure(seen)
    except Exception as error:
        result = measure(ForwardPass())
        seam.stop_seeing(error)
        return result


def is_ours(error: Exception) -> bool:
    """Returns whether an error of a running step comes from an operation that
    was added to it."""
    return _OURS.search(str(error)) is not None


def reason(error: Exception) -> str:
    """Returns an error in one line: its type, and what it says."""
    lines = str(error).strip().splitlines()
    if isinstance(error, tf.errors.OpError):
        lines = [one for one in lines if not _OF_STACK.match(one)][:1]
    text = " ".join(_NODE.sub("", one).strip() for one in lines)
    return f"{type(error).__name__}: {text[:_MOST]}"


def advice(error: Exception) -> str:
    """Returns what to do about an error of what was added to a step."""
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return (
            "A recorded step holds all weights and gradients once more: with a "
            "smaller batch there is room for them."
        )
    return "Please report this."
