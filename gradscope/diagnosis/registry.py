"""The rules: each looks at a run and yields what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gradscope.diagnosis.finding import Finding
from gradscope.diagnosis.limits import Limits
from gradscope.diagnosis.view import View

Rule = Callable[[View, Limits], Iterator[Finding]]

RULES: list[Rule] = []


def rule(function: Rule) -> Rule:
    """Registers a rule."""
    RULES.append(function)
    return function
