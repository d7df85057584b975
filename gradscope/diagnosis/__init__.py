"""Diagnosis of a recorded run: rules turn a record into findings.

    for finding in gradscope.diagnose("logs/run"):
        print(finding.message)

`finding` defines a finding, and `kinds` a kind of finding. `view`
prepares a record for the rules, which are in `rules`, one theme a module, below
the declarations of the kinds that they look for. `limits` collects the numbers
that they compare with, `causes` folds symptoms into the finding that explains
them, and `findings_text` has them as text and JSON. The package needs numpy,
and no TensorFlow.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis import rules  # noqa: F401 (they register themselves)
from gradscope.diagnosis.causes import root_causes
from gradscope.diagnosis.finding import Finding, FindingList
from gradscope.diagnosis.groups import group_layers
from gradscope.diagnosis.limits import Ignore, Limits
from gradscope.diagnosis.registry import RULES
from gradscope.diagnosis.rules.steps import no_steps, skipped
from gradscope.diagnosis.view import View

if TYPE_CHECKING:
    from gradscope.reading.record import Record


#: Of steps that were skipped nothing but their number is known, and of a
#: training without steps nothing but the reason.
_RULES_WITHOUT_STEPS = [skipped.skipped_steps, no_steps.no_steps]


def diagnose(
    run: str | os.PathLike[str] | Record,
    *,
    limits: Mapping[str, float] | None = None,
    ignore: Iterable[str] = (),
) -> list[Finding]:
    """Diagnose a run: list its findings, worst first.

    A healthy run has none, or notes only. Each fault is one finding, with its
    symptoms in the evidence.

    Args:
        run: Directory of a run, as for `gradscope.read`, or a
            `gradscope.Record`.
        limits: Limits that replace defaults, as in
            `{"vanishing-gradient.ratio": 0.001}`. The names and defaults are
            in `gradscope.diagnosis.limits.LIMITS`.
        ignore: Kinds of finding to leave out, as in `["dead-relu"]`, or in
            `["dead-relu:dense_1"]` for one layer.

    Returns:
        Findings, sorted by severity, kind and first step.

    Raises:
        FileNotFoundError: If the directory holds no run.
        ValueError: If the directory holds several runs, or a limit or a kind
            of finding does not exist.

    Examples:
        A weight whose gradient is zero in all of 30 steps:

        >>> import keras, numpy
        >>> import gradscope
        >>> optimizer = gradscope.wrap(keras.optimizers.SGD(), "logs/run")
        >>> weight = keras.Variable(numpy.ones([4, 4]), name="kernel")
        >>> for _ in range(30):
        ...     optimizer.apply([numpy.zeros([4, 4])], [weight])
        >>> (finding,) = gradscope.diagnose("logs/run")
        >>> finding.kind, finding.severity, finding.layer, finding.since
        ('zero-gradient', 'error', 'kernel', 'from the first step on')
        >>> gradscope.diagnose("logs/run", ignore=["zero-gradient"])
        []
    """
    all_limits = Limits(limits)
    if isinstance(ignore, str):
        raise ValueError(
            f"`ignore` must be a list of kinds, got the text {ignore!r}. "
            f"Write ignore=[{ignore!r}]."
        )
    ignored = [Ignore.parse(text) for text in ignore]
    if isinstance(run, str | os.PathLike):
        # Imported late: a `Record` needs no reader of event files.
        from gradscope.reading.read import read

        run = read(run)
    view = View(run)
    rules_to_run = RULES if view.count else _RULES_WITHOUT_STEPS
    # Of numbers that are not finite the rules speak themselves, not numpy.
    with np.errstate(all="ignore"):
        findings = [f for rule in rules_to_run for f in rule(view, all_limits)]
    findings = [f for f in findings if not any(i.covers(f) for i in ignored)]
    causes = group_layers(root_causes(findings), view.count and view.last_step)
    return FindingList(sorted(causes, key=lambda finding: finding.rank))
