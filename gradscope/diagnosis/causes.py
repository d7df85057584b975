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

    A loss that is NaN stays a finding, whatever explains it: nothing else that
    a run can show is worse. Its cause then names the finding that explains it.
    """
    remaining = list(findings)
    for kind in by_cause_rank():
        symptoms = symptoms_of(kind)
        # A copy of the list: causes take their symptoms out of `remaining`.
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
            remaining = [
                _explained_by(cause, f) if f in explained else f
                for f in remaining
                if f not in explained or f.kind == "non-finite"
            ]
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


def _explained_by(cause: Finding, nonfinite: Finding) -> Finding:
    """Name the finding that explains a NaN in the finding of the NaN."""
    if "explained_by" in nonfinite.evidence:  # by the cause of its cause
        return nonfinite
    place = _place(cause)
    return dataclasses.replace(
        nonfinite,
        evidence=nonfinite.evidence | {"explained_by": place},
        cause=f"The likely cause is `{cause.kind}`"
        + (f" in `{cause.layer}`" if cause.layer else "")
        + f". {cause.what}. {nonfinite.cause}",
        remedy=f"{cause.remedy} {nonfinite.remedy}",
    )


def _place(finding: Finding) -> str:
    return finding.kind + (f" in {finding.layer}" if finding.layer else "")


def _with_symptoms(cause: Finding, symptoms: list[Finding]) -> Finding:
    """Add symptoms to the evidence of their cause."""
    if not symptoms:
        return cause
    evidence = cause.evidence | {"symptoms": list(map(_place, symptoms))}
    return dataclasses.replace(cause, evidence=evidence)
