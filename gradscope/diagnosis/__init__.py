"""From a record to findings: what is wrong, where, since when, and why.

    for finding in gradscope.diagnose("logs/run"):
        print(finding.message)

`finding` says what a finding is, `limits` when a rule speaks, `view` how rules
see a run. The modules that are imported below hold them, and `causes` says
which findings follow from others. All of it needs numpy alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from gradscope.diagnosis import rules  # noqa: F401 (they register themselves)
from gradscope.diagnosis.causes import roots
from gradscope.diagnosis.finding import Finding
from gradscope.diagnosis.limits import Ignore, Limits
from gradscope.diagnosis.registry import RULES
from gradscope.diagnosis.view import View


def diagnose(
    run,
    *,
    limits: Mapping[str, float] | None = None,
    ignore: Iterable[str] = (),
) -> list[Finding]:
    """Returns what is wrong with a run, worst first; `[]` for a healthy one.

    One fault is one finding: what follows from it is among its evidence.

    Args:
        run: A directory, as for `gradscope.read`, or a `gradscope.Record`.
        limits: In place of the defaults, as in
            `{"vanishing-gradient.ratio": 0.001}`; see
            `gradscope.diagnosis.limits.LIMITS`.
        ignore: Kinds of finding to leave out, as in `"dead-relu"`, or
            `"dead-relu:dense_1"` for one layer.

    Raises:
        FileNotFoundError: If no run was recorded there.
        ValueError: If several runs were, or there is no such limit or kind.
    """
    checked = Limits(limits)
    if isinstance(ignore, str):
        raise ValueError(
            f"`ignore` must be a list of kinds, got the text {ignore!r}. "
            f"Write ignore=[{ignore!r}]."
        )
    ignored = [Ignore.parse(text) for text in ignore]
    if isinstance(run, str | os.PathLike):
        from gradscope.reading.read import read

        run = read(run)
    view = View(run)
    if not view.count:
        return []
    found = [f for rule in RULES for f in rule(view, checked)]
    found = [f for f in found if not any(i.covers(f) for i in ignored)]
    return sorted(roots(found), key=lambda finding: finding.rank)
