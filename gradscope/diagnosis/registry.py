"""Registry of the rules: functions that look for faults in a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gradscope.diagnosis.finding import Finding
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View

#: Type of the value of a rule, which is a generator.
Findings: TypeAlias = "Iterator[Finding]"

Rule: TypeAlias = "Callable[[View, Limits], Findings]"

# Rules write `not a < b` where `a` may be NaN, which is then no finding: each
# comparison with NaN is false.

#: All rules, in the order of their registration.
RULES: list[Rule] = []


def rule(function: Rule) -> Rule:
    """Register a rule; a decorator."""
    RULES.append(function)
    return function


def first_to_find(
    looks: Iterable[Rule], view: View, limits: Limits
) -> Findings:
    """Look for signs of one fault, and find those of the first look with any.

    Args:
        looks: Functions like rules, the plainest sign first.
        view: The run.
        limits: The limits.
    """
    for look in looks:
        findings = list(look(view, limits))
        if findings:
            yield from findings
            return
