"""What users may set: limits, and kinds to ignore."""

import pytest
import synthetic

import gradscope
from gradscope.diagnosis.kinds import KINDS
from gradscope.diagnosis.limits import LIMITS, Ignore, Limits


def test_every_limit_is_of_a_kind_and_says_what_it_means():
    for name, limit in LIMITS.items():
        kind, _, _ = name.partition(".")
        assert kind in (*KINDS, "learned"), name
        assert len(limit.meaning) > 20 and limit.default >= 0


def test_the_users_limits_come_before_the_defaults():
    limits = Limits({"vanishing-gradient.ratio": "0.5"})
    assert limits["vanishing-gradient.ratio"] == 0.5
    assert set(limits) == set(LIMITS) and len(limits) == len(LIMITS)


def test_a_limit_that_is_not_there_is_refused():
    with pytest.raises(
        ValueError, match=r"no limit 'x.y'. Choose one of steps"
    ):
        gradscope.diagnose(
            synthetic.record(synthetic.network()), limits={"x.y": 1}
        )


@pytest.mark.parametrize("value", ["much", None, float("nan"), -1])
def test_a_limit_that_is_no_number_is_refused(value):
    with pytest.raises(ValueError, match="must be a number of 0 or more, got"):
        Limits({"dead-relu.error": value})


def test_a_kind_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"no kind of finding 'dead'. Choose"):
        Ignore.parse("dead:dense")


def test_kinds_to_ignore_are_a_list():
    with pytest.raises(ValueError, match=r"Write ignore=\['dead-relu'\]"):
        gradscope.diagnose(
            synthetic.record(synthetic.network()), ignore="dead-relu"
        )
