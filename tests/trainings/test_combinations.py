"""No combination of optimizer, mode, option and precision loses a bit."""

import json
import subprocess
import sys

import combination_checks
import combinations
import pytest
from combination_checks import assert_observing_changes_no_bit, name


@pytest.mark.parametrize("case", combinations.read(), ids=name)
def test_observing_changes_no_bit(case, tmp_path):
    assert_observing_changes_no_bit(case, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("mode", combinations.MODES)
@pytest.mark.parametrize("optimizer", combinations.OPTIMIZERS)
def test_observing_changes_no_bit_in_the_full_product(
    optimizer, mode, tmp_path
):
    """In a process of its own, which gives back what it has compiled."""
    program = combination_checks.__file__
    done = subprocess.run(
        [sys.executable, program, optimizer, mode, str(tmp_path)],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_cases_have_each_pair_of_levels():
    cases = combinations.read()
    assert all(map(combinations.is_possible, cases))
    pairs = set().union(*map(combinations.pairs_of, cases))
    assert pairs == combinations.all_pairs()
    # All levels of an axis are there, but what can't be combined.
    assert len(combinations.product()) == 14 * 10 * 10 * 3 * 3 + 10 * 9 * 3 * 3
    # The file is what the program writes, so that it can be read and compared.
    text = combinations.FILE.read_text(encoding="utf-8")
    assert text == combinations.as_text(json.loads(text))
