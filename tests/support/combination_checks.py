"""Trains combinations twice, observed and not, and compares them.

python tests/support/combination_checks.py triples OPTIMIZER MODE LOGDIR
"""

import contextlib
import functools
import sys
import warnings

import combinations
import keras
import numpy as np

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


def assert_observing_changes_no_bit(case, logdir, plain=None):
    """Trains a case observed, and plain where no plain training is given."""
    with precision(case["precision"]):
        plain = plain or combinations.train(case)
        observed = combinations.train(case, logdir)
    for expected, actual in zip(plain, observed, strict=True):
        np.testing.assert_array_equal(actual, expected)
    gradscope.flush()
    assert gradscope.read(logdir).steps.tolist() == steps_of(case)


def name(case):
    return "-".join(case.values()).replace(" ", "_")


@functools.cache
def plain_training(optimizer, mode, option, policy):
    """One for all ways of observing it."""
    case = {"optimizer": optimizer, "mode": mode, "option": option}
    with precision(policy):
        return combinations.train(case | {"recorded": "model"})


def check_all(chosen, optimizer, mode, logdir):
    """Check cases of an optimizer and a mode, and raise what failed.

    Args:
        chosen: The name of the function that lists them: `triples`, `product`.
    """
    failures = {}
    cases = [
        case
        for case in getattr(combinations, chosen)()
        if (case["optimizer"], case["mode"]) == (optimizer, mode)
    ]
    for case in cases:
        try:
            plain = plain_training(
                optimizer, mode, case["option"], case["precision"]
            )
            path = f"{logdir}/{name(case)}"
            assert_observing_changes_no_bit(case, path, plain)
        except Exception as error:
            failures[name(case)] = f"{type(error).__name__}: {error}"
    assert not failures, failures
    print(f"{len(cases)} cases of {optimizer} in {mode}: the same bits")


if __name__ == "__main__":
    check_all(*sys.argv[1:])
