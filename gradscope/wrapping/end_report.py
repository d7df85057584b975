"""Report of the findings of a run at the end of its training."""

from __future__ import annotations

import atexit
import os
import sys
import time
import warnings
from typing import TYPE_CHECKING

from gradscope.diagnosis import diagnose, findings_text
from gradscope.errors import GradscopeWarning
from gradscope.mirroring import Mirrors
from gradscope.reading import event_files, read, storage
from gradscope.recording import run_scalars

if TYPE_CHECKING:
    from gradscope.recording.drain import Drain

#: Largest record, in bytes, that is read again at the end of a training. Above
#: this size, reading would delay the end of the program by seconds.
MOST_BYTES = 100_000_000


#: Least time between two reports, in times that the last one took: a loop of
#: short fits spends a twentieth of its time on them at most.
PAUSE = 20


class EndReport:
    """Prints the findings of a run if they have changed since the last time.

    The record is read anew for it. So after a `fit` that ends too soon after
    the last report, the findings wait for a later one, or for the program's
    end.
    """

    def __init__(self) -> None:
        self._last_findings: list[tuple[str, str | None, str]] = []
        self._not_before = -float("inf")
        # The arguments of a report that waits.
        self._waiting: tuple[Drain, int, Mirrors | None] | None = None

    def print_findings(
        self, drain: Drain, step: int, mirrors: Mirrors | None = None
    ) -> None:
        """Print the findings to stderr, and write them for TensorBoard's tabs
        Text and Scalars.

        Args:
            drain: The drain of the run; it must have written all steps.
            step: The optimizer's step number.
            mirrors: Other tools that get them, too.
        """
        arguments = drain, step, mirrors
        if time.perf_counter() >= self._not_before:
            self._print_now(*arguments)
            return
        if self._waiting is None:
            atexit.register(self._print_at_exit)
        self._waiting = arguments

    def _print_at_exit(self) -> None:
        if self._waiting is not None:
            self._print_now(*self._waiting)

    def _print_now(
        self, drain: Drain, step: int, mirrors: Mirrors | None
    ) -> None:
        """Print the findings; a failure is a warning, and never an error of
        the training."""
        began = time.perf_counter()
        if self._waiting is not None:
            self._waiting = None
            atexit.unregister(self._print_at_exit)
        try:
            self._print_findings(drain, step, mirrors)
        except Exception as error:
            warnings.warn(
                f"gradscope could not diagnose {drain.file.directory}: "
                f"{error!r}. The record is still there; run `gradscope "
                "diagnose` on it.",
                GradscopeWarning,
                stacklevel=2,
            )
        ended = time.perf_counter()
        self._not_before = ended + PAUSE * (ended - began)

    def _print_findings(
        self, drain: Drain, step: int, mirrors: Mirrors | None
    ) -> None:
        directory = drain.file.directory
        logdir = os.path.dirname(directory)
        if not storage.is_directory(directory):
            return  # another process writes, or nothing was written
        paths = event_files.event_files(directory)
        if sum(map(storage.size, paths)) > MOST_BYTES:
            command = f"gradscope diagnose {logdir}"
            message = (
                "gradscope: the record is too long to be diagnosed now; "
                f"run `{command}`"
            )
            print(message, file=sys.stderr)
            return
        try:
            record = read.read(directory)
        except FileNotFoundError:  # no step was recorded
            return
        findings = diagnose(record)
        counts = run_scalars.of_findings(f.severity for f in findings)
        markdown = findings_text.markdown(findings)
        if mirrors:
            mirrors.log_findings(step, markdown, counts)
            _mirror_report(mirrors, directory)
        # Not their numbers, which change with each `fit`.
        names = [(f.kind, f.layer, f.severity) for f in findings]
        if not findings or names == self._last_findings:
            drain.write_findings(step, "", counts)
            return
        self._last_findings = names
        colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ
        text = findings_text.text(logdir, findings, colour=colour)
        print(f"gradscope: {text}", file=sys.stderr)
        drain.write_findings(step, markdown, counts)


def _mirror_report(mirrors: Mirrors, directory: str) -> None:
    """Hand a report of a run to the mirrors that take one."""
    if not mirrors.take_report:
        return
    try:
        # Imported late, as it takes TensorBoard's modules along.
        from gradscope_plugin.report import build

        html = build.build(os.path.dirname(directory), [directory]).html
    except Exception as error:
        warnings.warn(
            f"gradscope could not make the report of {directory} for "
            f"`mirror=`: {error!r}. The record is still there; run `gradscope "
            "report` on it.",
            GradscopeWarning,
            stacklevel=2,
        )
    else:
        mirrors.log_report(html)
