"""Causes and symptoms: a fault that shows in several ways is one finding.

The findings that follow from another one become part of its evidence.
"""

from __future__ import annotations

import dataclasses

from gradscope.diagnosis.finding import Finding
from gradscope.diagnosis.kinds import by_cause_rank, symptoms_of

#: Operations that turn ordinary numbers into infinity or NaN, such as the
#: logarithm of zero. In the very first step that needs no other cause.
_NONFINITE_OPERATIONS = (
    "(Log)",
    "(RealDiv)",
    "(Sqrt)",
    "(Rsqrt)",
    "(Reciprocal)",
)


def root_causes(findings: list[Finding]) -> list[Finding]:
    """Select the findings that no other finding explains.

    Symptoms are listed in the evidence of their cause, under `symptoms`. A
    finding of severity `"note"` explains nothing, and no finding explains one
    that ended before it began.
    """
    remaining = list(findings)
    for kind in by_cause_rank():
        symptoms = symptoms_of(kind)
        for cause in [f for f in remaining if f.kind == kind.name]:
            if cause.severity == "note" or cause not in remaining:
                continue
            explained = [
                f
                for f in remaining
                if f is not cause
                and f.kind in symptoms
                and _can_follow(f, cause)
            ]
            remaining = [f for f in remaining if f not in explained]
            index = remaining.index(cause)
            remaining[index] = _with_symptoms(cause, explained)
    return remaining


def _can_follow(finding: Finding, cause: Finding) -> bool:
    """Return whether the steps of both findings allow one to be a symptom.

    A finding that began before the first NaN may have caused the NaN; one that
    began with the NaN, or after, is a symptom of it.
    """
    operation = str(finding.evidence.get("operation", ""))
    if finding.steps[0] == 0 and operation.endswith(_NONFINITE_OPERATIONS):
        return False
    if cause.kind == "non-finite" and finding.kind != "loss-diverges":
        return finding.steps[0] >= cause.steps[0]
    return finding.steps[1] >= cause.steps[0]


def _with_symptoms(cause: Finding, symptoms: list[Finding]) -> Finding:
    """Add symptoms to the evidence of their cause."""
    if not symptoms:
        return cause
    places = [
        symptom.kind + (f" in {symptom.layer}" if symptom.layer else "")
        for symptom in symptoms
    ]
    evidence = cause.evidence | {"symptoms": places}
    return dataclasses.replace(cause, evidence=evidence)
