"""Registry of the rules: functions that look for faults in a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gradscope.diagnosis.finding import Finding
from gradscope.diagnosis.limits import Limits
from gradscope.diagnosis.view import View

#: Type of the value of a rule, which is a generator.
Findings = Iterator[Finding]

Rule = Callable[[View, Limits], Findings]

#: All rules, in the order of their registration.
RULES: list[Rule] = []


def rule(function: Rule) -> Rule:
    """Register a rule; a decorator."""
    RULES.append(function)
    return function
