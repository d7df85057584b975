"""Groups of findings: one fault in many layers is one finding with a list."""

from __future__ import annotations

import dataclasses

from gradscope.diagnosis.finding import Finding
from gradscope.diagnosis.wording import code, join_words

#: Largest difference between the first steps of two findings of a group, as a
#: share of the run's last step.
_SAME_ONSET = 0.2


def group_layers(findings: list[Finding], last_step: int) -> list[Finding]:
    """Join the findings that differ in nothing but their layer.

    Findings of one kind, severity and cause that begin at about the same step
    become one. It keeps the place and the numbers of the first; `layers` in
    its evidence lists all places, in the order of the findings.

    Args:
        findings: Findings of one run.
        last_step: The last recorded step of the run.
    """
    groups: list[list[Finding]] = []
    for finding in findings:
        for group in groups:
            if _belongs(finding, group[0], last_step):
                group.append(finding)
                break
        else:
            groups.append([finding])
    return [_join(group) for group in groups]


def _belongs(finding: Finding, first: Finding, last_step: int) -> bool:
    """Return whether two findings tell of one fault in two layers."""
    return (
        finding.layer is not None
        and first.layer is not None
        and finding.kind == first.kind
        and finding.severity == first.severity
        and finding.cause == first.cause
        and abs(finding.steps[0] - first.steps[0])
        <= max(1, _SAME_ONSET * last_step)
    )


def _join(group: list[Finding]) -> Finding:
    first = group[0]
    layers = list(dict.fromkeys(f.layer for f in group if f.layer))
    if len(layers) < 2:  # one layer, once or for each of its activations
        return first
    names = [code(layer) for layer in layers]
    places = join_words(names)
    if len(names) > 4:
        places = f"{len(names)} layers, from {names[0]} to {names[-1]}"
    return dataclasses.replace(
        first,
        steps=(
            min(f.steps[0] for f in group),
            max(f.steps[1] for f in group),
        ),
        what=f"{first.what} (found in {places})",
        evidence=first.evidence | {"layers": layers},
        until_the_end=any(f.until_the_end for f in group),
    )
