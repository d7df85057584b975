"""One fault in many layers is one finding."""

from gradscope.diagnosis.finding import Finding
from gradscope.diagnosis.groups import group_layers


def found(layer, first=0, cause="Why", severity="note"):
    return Finding(
        kind="dead-relu",
        severity=severity,
        run="run",
        layer=layer,
        steps=(first, 99),
        what=f"Units of {layer} are dead",
        evidence={"dead_fraction": 0.5},
        cause=cause,
        remedy="",
    )


def test_layers_that_share_kind_cause_and_onset_are_one_finding():
    layers = [f"dense_{index}" for index in range(300, 329)]
    (one,) = group_layers([found(layer) for layer in layers], 99)
    assert one.layer == "dense_300"
    assert one.what == (
        "Units of dense_300 are dead (found in 29 layers, from `dense_300` to "
        "`dense_328`)"
    )
    assert one.evidence == {"dead_fraction": 0.5, "layers": layers}


def test_the_steps_are_those_of_all_layers():
    (one,) = group_layers([found("a", 12), found("b", 3), found("c", 9)], 99)
    assert one.steps == (3, 99)
    assert "found in `a`, `b` and `c`" in one.what


def test_findings_that_differ_in_more_than_their_layer_stay():
    first = found("a")
    for other in (
        found("b", first=60),
        found("b", cause="Another"),
        found("b", severity="error"),
        found(None),
    ):
        assert group_layers([first, other], 99) == [first, other]


def test_a_layer_with_two_rows_is_said_once():
    """One LSTM cell has an activation of its gates, and one of its state."""
    assert group_layers([found("lstm"), found("lstm")], 99) == [found("lstm")]
