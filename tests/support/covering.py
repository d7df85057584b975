"""Covering arrays: few cases that have every choice of a few levels.

An *interaction* of strength 2 is two levels of different axes, as a tuple of
(axis, level); of strength 3, three. Axes with levels are dictionaries, cases
too. What comes first is preferred, so the cheapest level should.
"""

import itertools
import math


def product(axes, is_possible, **levels):
    """Make all possible cases, or those with some levels."""
    choices = itertools.product(*(axes | levels).values())
    cases = (dict(zip(axes, choice, strict=True)) for choice in choices)
    return [case for case in cases if is_possible(case)]


def interactions(axes, is_possible, strength):
    """List all that are possible, those of the longest axes first."""
    chosen = sorted(
        itertools.combinations(axes, strength),
        key=lambda names: -math.prod(len(axes[name]) for name in names),
    )
    return [
        tuple(case.items())
        for names in chosen
        for case in product({name: axes[name] for name in names}, is_possible)
    ]


def interactions_of(case, strength):
    """List those that a case has."""
    return set(itertools.combinations(case.items(), strength))


def covering(axes, is_possible, strength, cases=(), having=()):
    """Extend cases until they have all interactions, or those with some levels.

    Greedy: an interaction that is missing is completed to the case that has
    most of what is missing. Those of the longest axes, of which each needs a
    case, come first, so that what they leave open takes in the others.
    """
    cases = list(cases)
    covered = set()
    for case in cases:
        covered |= interactions_of(case, strength)
    for missing in interactions(axes, is_possible, strength):
        if missing in covered or not set(having) <= set(missing):
            continue
        levels = {axis: [level] for axis, level in missing}
        best = max(
            product(axes, is_possible, **levels),
            key=lambda case: len(interactions_of(case, strength) - covered),
        )
        cases.append(best)
        covered |= interactions_of(best, strength)
    return cases
