"""No combination of optimizer, mode, option and precision loses a bit."""

import itertools
import subprocess
import sys

import combination_checks
import combinations
import pytest
from combination_checks import assert_observing_changes_no_bit, name


@pytest.mark.parametrize("case", combinations.read(), ids=name)
def test_observing_changes_no_bit(case, tmp_path):
    assert_observing_changes_no_bit(case, tmp_path)


def check(chosen, optimizer, mode, logdir):
    """Check in a process of its own, which gives back what it compiled."""
    program = combination_checks.__file__
    done = subprocess.run(
        [sys.executable, program, chosen, optimizer, mode, str(logdir)],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.hours
@pytest.mark.parametrize("mode", combinations.ALL_MODES)
@pytest.mark.parametrize("optimizer", combinations.OPTIMIZERS)
def test_observing_changes_no_bit_where_any_three_levels_meet(
    optimizer, mode, tmp_path
):
    check("triples", optimizer, mode, tmp_path)


@pytest.mark.slow
@pytest.mark.hours
@pytest.mark.parametrize("mode", combinations.MODES)
@pytest.mark.parametrize("optimizer", combinations.OPTIMIZERS)
def test_observing_changes_no_bit_in_the_full_product(
    optimizer, mode, tmp_path
):
    check("product", optimizer, mode, tmp_path)


def interactions(cases, strength):
    return {
        chosen
        for case in cases
        for chosen in itertools.combinations(case.items(), strength)
    }


def test_the_cases_of_make_test_have_any_two_levels_that_can_meet():
    product, cases = combinations.product(), combinations.read()
    # All levels of an axis are there, but what can't be combined.
    assert len(product) == 14 * 10 * 10 * 3 * 3 + 10 * 9 * 3 * 3
    assert all(case in product for case in cases)
    assert interactions(cases, 2) == interactions(product, 2)
    # Each optimizer with each option needs a case, and no other one is there.
    assert len(cases) == 15 * 10 - 1
    # The file is what the program writes, so that it can be read and compared.
    text = combinations.FILE.read_text(encoding="utf-8")
    assert text == combinations.as_text(combinations.pairs())


def test_the_cases_of_make_test_all_have_any_three_levels_that_can_meet():
    cases = combinations.triples()
    possible = [
        case
        for mode in combinations.ALL_MODES
        for case in combinations.product(mode=[mode])
    ]
    assert all(case in possible for case in cases)
    assert interactions(cases, 3) == interactions(possible, 3)
    # Each optimizer with each mode and option needs one.
    assert 8 * (15 * 10 - 1) < len(cases) < 1.05 * 8 * (15 * 10 - 1)


def test_the_cases_of_make_test_all_have_every_optimizer_in_every_mode():
    cases = combinations.triples()
    for optimizer, mode in itertools.product(
        combinations.OPTIMIZERS, combinations.ALL_MODES
    ):
        assert {
            "optimizer": optimizer,
            "mode": mode,
            "how": "wrap",
            "option": "none",
            "precision": "float32",
            "recorded": "some steps",
        } in cases
