"""Tells the findings at the end of a training, and writes them into the run."""

from __future__ import annotations

import os
import sys
import warnings

from gradscope.diagnosis import diagnose, report
from gradscope.errors import GradscopeWarning
from gradscope.reading import event_files, read

#: A longer record is not read again at the end of a training: at 100 MB that
#: takes some seconds.
MOST_BYTES = 100_000_000


class EndReport:
    """Tells the findings of a run, each time that they are others."""

    def __init__(self):
        self._told: list = []

    def tell(self, drain) -> None:
        """Prints the findings to stderr, and writes them for TensorBoard's
        tab Text. Nothing that goes wrong here is an error of the training.

        Args:
            drain: Of the run, which has written all of it.
        """
        try:
            self._tell(drain)
        except Exception as error:
            warnings.warn(
                f"gradscope could not diagnose {drain.file.directory}: "
                f"{error!r}. The "
                "record is there; try `gradscope diagnose` on it.",
                GradscopeWarning,
                stacklevel=2,
            )

    def _tell(self, drain) -> None:
        directory = drain.file.directory
        logdir = os.path.dirname(directory)
        if not os.path.isdir(directory):
            return  # not the process that writes, or nothing was written
        files = event_files.event_files(directory)
        if sum(map(os.path.getsize, files)) > MOST_BYTES:
            command = f"gradscope diagnose {logdir}"
            told = f"gradscope: the record is long; try `{command}`"
            print(told, file=sys.stderr)
            return
        try:
            record = read.read(directory)
        except FileNotFoundError:  # no step was recorded
            return
        findings = diagnose(record)
        names = [(f.kind, f.layer, f.severity) for f in findings]
        if not findings or names == self._told:
            return
        self._told = names
        colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ
        text = report.text(logdir, findings, colour=colour)
        print(f"gradscope: {text}", file=sys.stderr)
        drain.write_text(int(record.steps[-1]), report.markdown(findings))
