"""Which cases of a test `make test` runs; `make test-all` runs all of them."""

import pytest


def thinned(cases, fast):
    """Returns cases for `pytest.mark.parametrize`, the others marked slow.

    Args:
        cases: A list of values, or of tuples of values.
        fast: Those of them that `make test` runs too.
    """
    missing = [case for case in fast if case not in cases]
    assert not missing, f"no cases of this test: {missing}"
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else [case]),
            marks=[] if case in fast else pytest.mark.slow,
        )
        for case in cases
    ]


def selected(request, *names):
    """Returns the cases of this run's tests that ask for a fixture.

    A fixture that trains for all cases at once trains for no other.

    Args:
        request: Of the fixture.
        names: Of the parameters that make up a case.
    """
    return [
        tuple(item.callspec.params[name] for name in names)
        for item in request.session.items
        if item.path == request.path
        and request.fixturename in item.fixturenames
    ]


def asks_for_xla(value):
    """Says whether a parameter is a mode that XLA compiles, or has one."""
    if isinstance(value, dict):
        return bool(value.get("jit_compile")) or asks_for_xla(value.get("mode"))
    if isinstance(value, tuple):
        return any(map(asks_for_xla, value))
    return isinstance(value, str) and "jit" in value
