"""Diagnoses runs for `/findings`, as `gradscope diagnose` does."""

from __future__ import annotations

import collections
import dataclasses
import json
import logging
import threading
from typing import TYPE_CHECKING

from gradscope import diagnosis
from gradscope.diagnosis import findings_text
from gradscope.diagnosis.finding import Finding
from gradscope.diagnosis.kinds import KINDS
from gradscope_plugin.runs import summary
from gradscope_plugin.runs.data_provider import UnreadableRun

if TYPE_CHECKING:
    from tensorboard.context import RequestContext

    from gradscope_plugin.runs.run_data import Runs

logger = logging.getLogger(__name__)

# Largest number of runs whose findings are cached, of some kB each.
_MOST = 4096

_FAILED = (
    "this run could not be diagnosed. TensorBoard's terminal shows the reason; "
    "the record itself is shown below."
)


class Findings:
    """The findings of all runs; thread-safe.

    Args:
        runs: Reads the runs.
    """

    def __init__(self, runs: Runs):
        self._runs = runs
        # A diagnosis of a large run takes seconds of computation. So only one
        # runs at a time, under a lock that no other request needs.
        self._lock = threading.Lock()
        self._replies = collections.OrderedDict()

    def text(
        self, ctx: RequestContext, experiment_id: str, run: str
    ) -> str | None:
        """Diagnose a run; return the JSON of `/findings`.

        Returns None if the run does not exist.

        Args:
            ctx: TensorBoard's `RequestContext`.
            experiment_id: TensorBoard's name of the log directory.
            run: Name of the run.
        """
        version = self._runs.version(ctx, experiment_id, run)
        if version is None:
            return None
        key = (experiment_id, run)
        cached_version, text = self._replies.get(key, (None, None))
        if cached_version == version:
            return text
        with self._lock:
            # Another request may have made it while this one waited.
            cached_version, text = self._replies.get(key, (None, None))
            if cached_version == version:
                return text
            try:
                record = self._runs.full_record(ctx, experiment_id, run)
                if record is None:
                    return None
                text = _reply(record)
            except UnreadableRun as error:
                # Not remembered: the run may be readable when the page asks
                # again.
                return _problem(str(error))
            except Exception:
                # The page shows the numbers all the same.
                logger.warning(
                    "gradscope: cannot diagnose %r", run, exc_info=True
                )
                return _problem(_FAILED)
            self._replies.pop(key, None)
            self._replies[key] = version, text
            while len(self._replies) > _MOST:
                self._replies.popitem(last=False)
            return text


def _reply(record) -> str:
    origin = record.first_nonfinite()
    return _json(
        [_described(finding) for finding in diagnosis.diagnose(record)],
        steps=len(record.steps),
        sampled=summary.is_sampled(record),
        nonfinite=origin and origin.headline,
    )


def _described(finding: Finding) -> dict[str, object]:
    """Describe a finding, and where the page shows it."""
    shown_by = KINDS[finding.kind].where_shown(finding.evidence)
    return finding.to_dict() | {"shown_by": dataclasses.asdict(shown_by)}


def _problem(text: str) -> str:
    return _json([], problem=text)


def _json(
    findings, *, steps=0, sampled=False, nonfinite=None, problem=None
) -> str:
    return json.dumps(
        {
            "version": findings_text.JSON_VERSION,
            "steps": steps,
            "sampled": sampled,
            "nonfinite": nonfinite,
            "findings": findings,
            "problem": problem,
        },
        allow_nan=False,
    )
