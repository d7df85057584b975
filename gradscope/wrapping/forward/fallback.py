"""Failures of gradscope in a step: less is recorded, and training goes on."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from gradscope.runtime import versions
from gradscope.runtime.scopes import SCOPE
from gradscope.wrapping.forward.forward_pass import ForwardPass

if TYPE_CHECKING:
    from gradscope.wrapping.forward.forward_finder import ForwardFinder

#: The name of an operation of gradscope in an error of TensorFlow.
_OF_GRADSCOPE = re.compile(rf"\bnode (\S*/)?{SCOPE}(_\d+)?/")

#: Lines of TensorFlow's errors before the reason; they show where the operation
#: was built.
_STACK_LINE = re.compile(
    r"\s*($|Graph execution error|Detected at node|<stack traces|File \"|"
    r"\d+ root error)"
)
_NODE = re.compile(r"\{\{.*?\}\}")
_MOST_CHARACTERS = 500


def scope() -> contextlib.AbstractContextManager:
    """Name scope of the operations that gradscope adds to a step."""
    return tf.name_scope(SCOPE)


def measure_with_fallback(
    finder: ForwardFinder,
    forward_pass: ForwardPass,
    measure: Callable[[ForwardPass], Any],
) -> Any:
    """Measure with a forward pass; if that fails, warn and measure without it.

    Args:
        finder: The finder of forward passes; it is stopped.
        forward_pass: The step's forward pass.
        measure: Called with a `ForwardPass`, an empty one for the second time.

    Returns:
        The result of `measure`.

    Raises:
        Exception: If `measure` fails without a forward pass, too.
    """
    try:
        return measure(forward_pass)
    except Exception as error:
        # Not stopped before this: if the variables fail, too, then the forward
        # pass was not at fault, and one warning says so.
        result = measure(ForwardPass())
        finder.stop(error)
        return result


def is_of_gradscope(error: Exception) -> bool:
    """Return whether an operation that gradscope added raised this error."""
    return _OF_GRADSCOPE.search(str(error)) is not None


def reason(error: Exception) -> str:
    """Format an error in one line: its type and its message."""
    lines = str(error).strip().splitlines()
    if isinstance(error, tf.errors.OpError):
        lines = [line for line in lines if not _STACK_LINE.match(line)][:1]
    text = " ".join(_NODE.sub("", line).strip() for line in lines)
    return f"{type(error).__name__}: {text[:_MOST_CHARACTERS]}"


def advice(error: Exception) -> str:
    """Advise on an error of an operation that gradscope added."""
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return (
            "A recorded step holds a second copy of all weights and gradients. "
            "Choose a smaller batch to make room for them."
        )
    return versions.report_request()
