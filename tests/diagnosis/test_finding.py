"""A finding as others read it: the command line, the page, a report."""

from gradscope.diagnosis.finding import Finding


def test_as_a_dictionary_it_has_all_that_it_says():
    finding = Finding(
        kind="dead-relu",
        severity="error",
        run="logs/run",
        layer="dense_1",
        steps=(340, 520),
        what="All units of dense_1 are dead",
        evidence={"dead_fraction": 0.95, "since": float("nan")},
        cause="The learning rate is too large.",
        remedy="Lower it.",
        until_the_end=False,
    )
    # JSON has no NaN.
    assert finding.to_dict() == {
        "kind": "dead-relu",
        "severity": "error",
        "run": "logs/run",
        "layer": "dense_1",
        "steps": [340, 520],
        "until_the_end": False,
        "what": "All units of dense_1 are dead",
        "evidence": {"dead_fraction": 0.95, "since": None},
        "cause": "The learning rate is too large.",
        "remedy": "Lower it.",
        "message": "All units of dense_1 are dead (from step 340 to 520). The "
        "learning rate is too large. Lower it.",
    }
