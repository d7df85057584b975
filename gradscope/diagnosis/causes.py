"""One fault, one finding: what follows from another is its evidence."""

from __future__ import annotations

import dataclasses

from gradscope.diagnosis.finding import Finding

#: What each kind of fault brings about; those symptoms are no findings of
#: their own.
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


#: Operations that make infinity or NaN of ordinary numbers; where they do in
#: the very first step, it is a fault of their own.
_FROM_ORDINARY = ("(Log)", "(RealDiv)", "(Sqrt)", "(Rsqrt)", "(Reciprocal)")


def roots(found: list[Finding]) -> list[Finding]:
    """Returns the findings that follow from no other one, with those that do
    in their evidence; the order is that in which `SYMPTOMS` names causes.

    A note explains nothing, and nothing explains what began long before it.
    """
    kept = list(found)
    for kind, symptoms in SYMPTOMS.items():
        for cause in [f for f in kept if f.kind == kind]:
            if cause.severity == "note" or cause not in kept:
                continue
            follow = [
                f
                for f in kept
                if f is not cause
                and f.kind in symptoms
                and _can_follow(f, cause)
            ]
            kept = [f for f in kept if f not in follow]
            kept[kept.index(cause)] = _with(cause, follow)
    return kept


def _can_follow(finding: Finding, cause: Finding) -> bool:
    """Returns whether the times allow for it. What made the NaN began before
    it; what began with the NaN is made by it."""
    operation = str(finding.evidence.get("operation", ""))
    if finding.steps[0] == 0 and operation.endswith(_FROM_ORDINARY):
        return False
    if cause.kind == "non-finite" and finding.kind != "loss-diverges":
        return finding.steps[0] >= cause.steps[0]
    return finding.steps[1] >= cause.steps[0]


def _with(cause: Finding, follow: list[Finding]) -> Finding:
    if not follow:
        return cause
    told = [f.kind + (f" in {f.layer}" if f.layer else "") for f in follow]
    evidence = cause.evidence | {
        "symptoms": [*cause.evidence.get("symptoms", []), *told]
    }
    return dataclasses.replace(cause, evidence=evidence)
