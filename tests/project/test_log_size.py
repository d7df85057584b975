"""The log of a run has fewer bytes than in format 1, in all that is default."""

import pytest

from benchmarks import log_of_run
from gradscope.format.columns import VARIABLE_COLUMNS

#: Bytes in format 1 at 944d927 of the same numbers, by variables: with
#: histograms, and without.
FORMAT_1 = {294: (3_168_526, 1_084_747), 6: (80_010, 37_349)}

#: Statistics of variables that format 1 had, and bytes of a number.
COLUMNS, NUMBER = 14, 4
STEPS = 60


@pytest.mark.parametrize("variables", FORMAT_1)
def test_a_log_is_not_larger_than_in_format_1(variables, monkeypatch):
    monkeypatch.setattr(log_of_run.background, "watch", lambda item: None)
    default, without = (
        log_of_run.size(variables, flag, steps=STEPS) for flag in (True, False)
    )
    # Statistics that came since are further numbers.
    further = len(VARIABLE_COLUMNS) - COLUMNS
    added = NUMBER * STEPS * variables * further
    before, before_without = (size + added for size in FORMAT_1[variables])
    assert default <= (0.5 if variables > 100 else 1) * before
    assert without <= before_without
