"""The log of a run has fewer bytes than in format 1, in all that is default."""

import pytest

from benchmarks import log_of_run

#: Bytes in format 1 at 944d927 of the same numbers, by variables: with
#: histograms, and without.
FORMAT_1 = {294: (3_168_526, 1_084_747), 6: (80_010, 37_349)}


@pytest.mark.parametrize("variables", FORMAT_1)
def test_a_log_is_not_larger_than_in_format_1(variables, monkeypatch):
    monkeypatch.setattr(log_of_run.background, "watch", lambda item: None)
    default, without = (
        log_of_run.size(variables, flag, steps=60) for flag in (True, False)
    )
    before, before_without = FORMAT_1[variables]
    assert default <= (0.5 if variables > 100 else 1) * before
    assert without <= before_without
