"""Where observing fails, less is observed, and training goes on."""

from __future__ import annotations

import re

import tensorflow as tf

from gradscope.runtime.scopes import SCOPE
from gradscope.wrapping.forward.forward_pass import ForwardPass

#: How an error of such an operation tells its name.
_OF_GRADSCOPE = re.compile(rf"\bnode (\S*/)?{SCOPE}(_\d+)?/")

#: Lines of TensorFlow's errors before the one that says what is wrong: where
#: the operation was built.
_STACK_LINE = re.compile(
    r"\s*($|Graph execution error|Detected at node|<stack traces|File \"|"
    r"\d+ root error)"
)
_NODE = re.compile(r"\{\{.*?\}\}")
_MOST_CHARACTERS = 500


def scope():
    """Returns the context of operations that are added to a step."""
    return tf.name_scope(SCOPE)


def measure_with_fallback(seam, forward_pass: ForwardPass, measure):
    """Returns what `measure` does with a forward pass; and where that fails,
    what it does without one. That is told in one warning.

    Args:
        seam: The `Seam` whose step it is.
        forward_pass: What there is to be seen of the forward pass.
        measure: Called with a `ForwardPass`.

    Raises:
        Exception: If it fails without a forward pass, too.
    """
    try:
        return measure(forward_pass)
    except Exception as error:
        result = measure(ForwardPass())
        seam.stop_observing_forward(error)
        return result


def is_of_gradscope(error: Exception) -> bool:
    """Returns whether an error of a running step comes from an operation that
    was added to it."""
    return _OF_GRADSCOPE.search(str(error)) is not None


def reason(error: Exception) -> str:
    """Returns an error in one line: its type, and what it says."""
    lines = str(error).strip().splitlines()
    if isinstance(error, tf.errors.OpError):
        lines = [line for line in lines if not _STACK_LINE.match(line)][:1]
    text = " ".join(_NODE.sub("", line).strip() for line in lines)
    return f"{type(error).__name__}: {text[:_MOST_CHARACTERS]}"


def advice(error: Exception) -> str:
    """Returns what to do about an error of what was added to a step."""
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return (
            "A recorded step holds all weights and gradients once more: with a "
            "smaller batch there is room for them."
        )
    return "Please report this."
