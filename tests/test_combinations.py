"""No combination of optimizer, mode, option and precision loses a bit."""

import contextlib
import json
import pathlib
import subprocess
import sys
import warnings

import combinations
import keras
import numpy as np
import pytest

import gradscope
from gradscope.schedule import Every


@contextlib.contextmanager
def precision(policy):
    """Makes layers of a precision in the meantime."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    with warnings.catch_warnings():
        # numpy says so where float16 overflows; ours are still errors.
        warnings.simplefilter("ignore", RuntimeWarning)
        yield
    keras.config.set_dtype_policy(before)


def steps_of(case):
    """Returns the optimizer's steps that are due."""
    every = combinations.RECORDED[case["recorded"]]["every"]
    steps = combinations.STEPS
    if case["option"] == "accumulation":
        steps //= combinations.OPTIONS["accumulation"][
            "gradient_accumulation_steps"
        ]
    if not isinstance(every, Every):
        return list(range(steps))
    return [n for n in range(steps) if n < 2 or n % 3 == 0]


def assert_observing_changes_no_bit(case, logdir):
    with precision(case["precision"]):
        plain = combinations.train(case)
        observed = combinations.train(case, logdir)
    # 1.5e-8 after eight steps; all others have the same bits.
    most = 1e-6 if combinations.is_rounded(case) else 0
    for expected, actual in zip(plain, observed, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=most, atol=most / 10)
    gradscope.flush()
    assert gradscope.read(logdir).steps.tolist() == steps_of(case)


def name(case):
    return "-".join(case.values()).replace(" ", "_")


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
    call = f"check_all({optimizer!r}, {mode!r}, {str(tmp_path)!r})"
    done = subprocess.run(
        [sys.executable, "-c", f"import test_combinations as t; t.{call}"],
        cwd=pathlib.Path(__file__).parent,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def check_all(optimizer, mode, logdir):
    """Checks each case of an optimizer and a mode; raises what failed."""
    failures = {}
    for case in combinations.product(optimizer=[optimizer], mode=[mode]):
        try:
            assert_observing_changes_no_bit(case, f"{logdir}/{name(case)}")
        except Exception as error:
            failures[name(case)] = f"{type(error).__name__}: {error}"
    assert not failures, failures


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
