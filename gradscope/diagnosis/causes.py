"""Causes and symptoms: a fault that shows in several ways is one finding.

The findings that follow from another one become part of its evidence.
"""

from __future__ import annotations

import dataclasses

from gradscope.diagnosis.finding import Finding

#: Kinds of finding that each kind brings about. Where the cause was found, its
#: symptoms are not reported as findings. The order matters: the causes that
#: stand first collect their symptoms first.
SYMPTOMS = {
    "zero-init": (
        "zero-gradient",
        "dead-relu",
        "symmetric-units",
        "vanishing-gradient",
        "init-too-small",
        "update-too-small",
        "learning-rate",
        "hidden-softmax",
        "loss-metric-disagree",
    ),
    "symmetric-units": (
        "dead-relu",
        "vanishing-gradient",
        "init-too-small",
        "init-too-large",
        "zero-gradient",
        "saturated-activation",
        "learning-rate",
        "loss-metric-disagree",
    ),
    "single-unit-softmax": (
        "zero-gradient",
        "output-range",
        "loss-metric-disagree",
        "vanishing-gradient",
        "learning-rate",
        "constant-labels",
        "hidden-softmax",
    ),
    "softmax-axis": ("hidden-softmax", "loss-metric-disagree"),
    "constant-labels": (
        "loss-diverges",
        "learning-rate",
        "exploding-gradient",
        "batchnorm-statistics",
        "train-inference-mismatch",
        "vanishing-gradient",
        "zero-gradient",
        "loss-metric-disagree",
    ),
    "relu-output": (
        "zero-gradient",
        "dead-relu",
        "output-range",
        "vanishing-gradient",
        "loss-metric-disagree",
    ),
    "output-range": (
        "saturated-activation",
        "loss-metric-disagree",
        "loss-diverges",
        "dead-relu",
        "zero-gradient",
        "exploding-gradient",
        "vanishing-gradient",
        "learning-rate",
    ),
    "unscaled-target": (
        "dead-relu",
        "exploding-gradient",
        "loss-diverges",
        "non-finite",
        "zero-gradient",
        "learning-rate",
        "update-too-large",
        "vanishing-gradient",
        "loss-metric-disagree",
    ),
    "unscaled-input": (
        "dead-relu",
        "saturated-activation",
        "vanishing-gradient",
        "exploding-gradient",
        "loss-diverges",
        "zero-gradient",
        "non-finite",
        "learning-rate",
        "update-too-large",
        "loss-metric-disagree",
    ),
    "init-too-large": (
        "saturated-activation",
        "exploding-gradient",
        "vanishing-gradient",
        "dead-relu",
        "loss-diverges",
        "zero-gradient",
        "update-too-small",
        "learning-rate",
        "non-finite",
        "loss-metric-disagree",
    ),
    "init-too-small": (
        "dead-relu",
        "update-too-large",
        "update-too-small",
        "learning-rate",
        "zero-gradient",
        "loss-metric-disagree",
    ),
    "vanishing-gradient": (
        "init-too-small",
        "saturated-activation",
        "update-too-small",
        "learning-rate",
        "zero-gradient",
        "loss-metric-disagree",
    ),
    "learning-rate": (
        "dead-relu",
        "exploding-gradient",
        "loss-diverges",
        "non-finite",
        "saturated-activation",
        "zero-gradient",
        "update-too-large",
        "update-too-small",
        "vanishing-gradient",
        "batchnorm-statistics",
        "loss-metric-disagree",
    ),
    "loss-diverges": (
        "non-finite",
        "exploding-gradient",
        "loss-metric-disagree",
    ),
    "exploding-gradient": ("non-finite", "loss-diverges", "update-too-large"),
    "dead-relu": (
        "zero-gradient",
        "vanishing-gradient",
        "loss-metric-disagree",
        "update-too-small",
    ),
    "hidden-softmax": (
        "vanishing-gradient",
        "saturated-activation",
        "learning-rate",
        "loss-metric-disagree",
    ),
    "saturated-activation": (
        "zero-gradient",
        "update-too-small",
        "loss-metric-disagree",
    ),
    "dropout-keep-prob": (
        "train-inference-mismatch",
        "loss-metric-disagree",
        "dead-relu",
        "vanishing-gradient",
    ),
    "batchnorm-statistics": ("train-inference-mismatch",),
    "shared-batchnorm": ("batchnorm-statistics", "train-inference-mismatch"),
    "penalty-dominates": (
        "vanishing-gradient",
        "dead-relu",
        "symmetric-units",
        "loss-metric-disagree",
        "update-too-large",
        "learning-rate",
        "zero-gradient",
    ),
    "non-finite": (
        "loss-diverges",
        "dead-relu",
        "zero-gradient",
        "saturated-activation",
        "batchnorm-statistics",
        "learning-rate",
        "update-too-small",
        "update-too-large",
        "loss-metric-disagree",
    ),
}


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
    for kind, symptoms in SYMPTOMS.items():
        for cause in [f for f in remaining if f.kind == kind]:
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
    evidence = cause.evidence | {
        "symptoms": [*cause.evidence.get("symptoms", []), *places]
    }
    return dataclasses.replace(cause, evidence=evidence)
