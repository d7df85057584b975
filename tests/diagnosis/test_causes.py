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
    (root,) = root_causes([found("dead-relu", 40), found("unscaled-input")])
    assert root.kind == "unscaled-input"
    assert root.evidence["symptoms"] == ["dead-relu in dense"]


def test_a_nan_stays_a_finding_and_names_its_cause():
    findings = [found("non-finite", 40), found("unscaled-input")]
    nan, inputs = root_causes(findings)
    assert (nan.kind, nan.severity) == ("non-finite", "error")
    assert nan.evidence["explained_by"] == "unscaled-input in dense"
    assert nan.cause.startswith(
        "The likely cause is `unscaled-input` in `dense`. Something."
    )
    assert inputs.evidence["symptoms"] == ["non-finite in dense"]


def test_of_two_causes_of_a_nan_the_first_is_named():
    findings = [
        found(k) for k in ("non-finite", "loss-diverges", "unscaled-input")
    ]
    nan, *_ = root_causes(findings)
    assert nan.evidence["explained_by"] == "unscaled-input in dense"
    assert nan.cause.count("The likely cause") == 1


def test_a_logarithm_of_zero_in_the_first_step_is_a_fault_of_its_own():
    inputs = found("unscaled-input")
    for operation in ("loss/Log (Log)", "norm/truediv (RealDiv)"):
        first = found("non-finite", 0, operation=operation)
        assert "explained_by" not in root_causes([first, inputs])[0].evidence
        later = found("non-finite", 40, operation=operation)
        assert "explained_by" in root_causes([later, inputs])[0].evidence
    product = found("non-finite", 0, operation="dense/MatMul (MatMul)")
    assert "explained_by" in root_causes([product, inputs])[0].evidence


def test_a_note_explains_nothing():
    note = found("unscaled-input", severity="note")
    assert kinds([found("non-finite"), note]) == [
        "non-finite",
        "unscaled-input",
    ]
