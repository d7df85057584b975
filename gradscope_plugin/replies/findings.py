"""Findings of runs, as `gradscope diagnose` has them; no HTTP here."""

from __future__ import annotations

import collections
import json
import logging
import threading

from gradscope import diagnosis
from gradscope.diagnosis import report
from gradscope_plugin.runs import summary
from gradscope_plugin.runs.data_provider import UnreadableRun

logger = logging.getLogger(__name__)

# Runs whose findings are kept, of some kB each.
_MOST = 4096

_FAILED = (
    "this run could not be diagnosed; TensorBoard's terminal says why, and "
    "what was recorded is shown below."
)


class Findings:
    """Findings of all runs; safe to use from several threads.

    Args:
        runs: The `data.Runs`.
    """

    def __init__(self, runs):
        self._runs = runs
        # 1000 variables x 1000 steps take 5 s on a busy machine. So one run at
        # a time, and without the lock that other requests need: `/runs` took
        # 0.9 s at most meanwhile, for numpy sorts in one piece, mostly 50 ms.
        self._lock = threading.Lock()
        self._known = collections.OrderedDict()

    def text(self, ctx, experiment_id: str, run: str) -> str | None:
        """Returns the JSON of `/findings`, None if there is no such run.

        Args:
            ctx: TensorBoard's `RequestContext`.
            experiment_id: TensorBoard's name of the log directory.
            run: Name of the run.
        """
        version = self._runs.version(ctx, experiment_id, run)
        if version is None:
            return None
        key = (experiment_id, run)
        known = self._known.get(key, (None, None))
        if known[0] == version:
            return known[1]
        with self._lock:
            # Perhaps somebody else asked for it in the meantime.
            known = self._known.get(key, (None, None))
            if known[0] == version:
                return known[1]
            try:
                record = self._runs.whole(ctx, experiment_id, run)
                if record is None:
                    return None
                text = _reply(record)
            except UnreadableRun as error:
                return _problem(str(error))
            except Exception:
                # Findings help to read the numbers; without them the numbers
                # are there all the same.
                logger.warning(
                    "gradscope: cannot diagnose %r", run, exc_info=True
                )
                return _problem(_FAILED)
            self._known.pop(key, None)
            self._known[key] = version, text
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
            return text


def _reply(record) -> str:
    found = [one.to_dict() for one in diagnosis.diagnose(record)]
    return _json(
        found, steps=len(record.steps), sampled=summary.is_sampled(record)
    )


def _problem(text: str) -> str:
    return _json([], problem=text)


def _json(findings, *, steps=0, sampled=False, problem=None) -> str:
    return json.dumps(
        {
            "version": report.JSON_VERSION,
            "steps": steps,
            "sampled": sampled,
            "findings": findings,
            "problem": problem,
        },
        allow_nan=False,
    )
