"""Which findings follow from others."""

from gradscope.diagnosis.causes import root_causes
from gradscope.diagnosis.finding import Finding


def found(kind, first=0, severity="error", **evidence):
    return Finding(
        kind=kind,
        severity=severity,
        run="run",
        layer="dense",
        steps=(first, 99),
        what="Something",
        evidence=evidence,
        cause="",
        remedy="",
    )


def kinds(findings):
    return [one.kind for one in root_causes(findings)]


def test_what_follows_is_among_the_evidence_of_its_cause():
    (root,) = root_causes([found("non-finite", 40), found("unscaled-input")])
    assert root.kind == "unscaled-input"
    assert root.evidence["symptoms"] == ["non-finite in dense"]


def test_a_logarithm_of_zero_in_the_first_step_is_a_fault_of_its_own():
    inputs = found("unscaled-input")
    for operation in ("loss/Log (Log)", "norm/truediv (RealDiv)"):
        first = found("non-finite", 0, operation=operation)
        assert kinds([first, inputs]) == ["non-finite", "unscaled-input"]
        later = found("non-finite", 40, operation=operation)
        assert kinds([later, inputs]) == ["unscaled-input"]
    product = found("non-finite", 0, operation="dense/MatMul (MatMul)")
    assert kinds([product, inputs]) == ["unscaled-input"]


def test_a_note_explains_nothing():
    note = found("unscaled-input", severity="note")
    assert kinds([found("non-finite"), note]) == [
        "non-finite",
        "unscaled-input",
    ]
