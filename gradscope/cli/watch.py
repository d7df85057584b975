"""Subcommand `watch`: prints the findings of running trainings as they come."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import gradscope
from gradscope.cli import diagnose, run_reading
from gradscope.cli.run_reading import DAMAGED, NEWER, NO_RECORD, NO_RUN
from gradscope.diagnosis.finding import SEVERITIES, Finding
from gradscope.reading import growth
from gradscope.terminal import counted, printable

# Seconds between two looks at the files; and how many times as long as the
# diagnosis took it rests, since the training may run on the same cores.
_EVERY = 5.0
_REST = 10

_HELP = f"""Follows the trainings that are recorded below a directory, and
prints each finding in a line when it appears or becomes worse. Runs that begin
later are followed, too.

It ends when the process that records has ended, if that is on this machine, or
--timeout seconds after the last step; or with Ctrl-C.

exit codes, from the findings at the end: 0 all runs were diagnosed;
{diagnose.FAILED} a finding is as severe as --fail-on, or worse; {NO_RUN} no run
began; {NO_RECORD} event files, but no recorded step; {DAMAGED} an event file is
damaged; {NEWER} a run was recorded by a newer version of gradscope. If several
apply, the largest code is returned."""


def add(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand to the parser."""
    parser = commands.add_parser(
        "watch",
        help="follow running trainings, and print findings as they appear",
        description=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("logdir", metavar="LOGDIR")
    parser.add_argument(
        "--timeout",
        type=float,
        default=growth.SILENCE,
        metavar="SECONDS",
        help="end so long after the last step, or where none comes "
        "(default: %(default)g)",
    )
    parser.add_argument(
        "--fail-on",
        choices=SEVERITIES,
        help=f"exit with {diagnose.FAILED} if a finding is this severe, or "
        "worse",
    )
    parser.set_defaults(run_command=run)


def run(options: argparse.Namespace) -> int:
    """Print findings until the training has ended; return the exit code."""
    problems: list[dict] = []
    # No waiting would mend that.
    if not run_reading.has_storage(options.logdir, problems):
        return run_reading.print_problems(problems)
    watched = _Watched(options.logdir)
    try:
        end = _follow(watched, options.timeout)
    except KeyboardInterrupt:
        end = "stopped"
    # The last look: what was printed and is no more does not count.
    watched.look()
    print(f"{end}: {watched.count()}", flush=True)
    if not watched.findings:
        run_reading.find(options.logdir, problems)
    problems += watched.problems
    code = run_reading.print_problems(problems)
    return max(code, diagnose.exit_code(watched.findings, options.fail_on))


def _follow(watched: _Watched, timeout: float) -> str:
    """Look at the files again and again; return why that ends."""
    last = time.monotonic()
    while True:
        start = time.monotonic()
        if watched.look():
            last = start
        # Before a run was read, there is no file whose writer could have ended.
        elif watched.findings and not watched.has_writer():
            return "the training has ended"
        if time.monotonic() - last > timeout:
            return f"no step for {timeout:g} seconds"
        rest(max(_EVERY, _REST * (time.monotonic() - start)))


def rest(seconds: float) -> None:
    """Wait until the next look."""
    time.sleep(seconds)


class _Watched:
    """The runs below a directory, as they were at the last look.

    Attributes:
        findings: The findings of each run, by its name.
        problems: Defects of the files, as of `run_reading.read`.
    """

    def __init__(self, logdir: str):
        self._logdir = logdir
        self._sizes: dict[str, dict[str, int]] = {}
        self._printed: dict[tuple, int] = {}
        self._problems: dict[str, list[dict]] = {}
        self.findings: dict[str, list[Finding]] = {}

    @property
    def problems(self) -> list[dict]:
        """All problems of the last look."""
        return [p for problems in self._problems.values() for p in problems]

    def look(self) -> bool:
        """Diagnose the runs that have grown; return whether there are any."""
        grown = False
        for name, path in _list_runs(self._logdir):
            sizes = growth.sizes([path])
            # A diagnosis reads the whole run, so one that has not grown is left
            # out.
            if sizes == self._sizes.get(name):
                continue
            self._sizes[name] = sizes
            grown = True
            self._diagnose(name, path)
        return grown

    def _diagnose(self, name: str, path: str) -> None:
        problems: list[dict] = []
        record = run_reading.read(name, path, problems)
        self._problems[name] = problems
        if record is None:
            return
        self.findings[name] = gradscope.diagnose(record)
        for finding in self.findings[name]:
            key = (name, finding.kind, finding.layer)
            severity = SEVERITIES.index(finding.severity)
            if severity < self._printed.get(key, len(SEVERITIES)):
                self._printed[key] = severity
                # A pipe, as in CI, would hold lines back until there are many.
                print(_line(name, finding), flush=True)

    def has_writer(self) -> bool:
        """Test whether a process may still write one of the runs."""
        return growth.has_writer(
            path for sizes in self._sizes.values() for path in sizes
        )

    def count(self) -> str:
        """Count the findings in words."""
        findings = [f for found in self.findings.values() for f in found]
        counts = [
            counted(count, severity)
            for severity in SEVERITIES
            if (count := sum(f.severity == severity for f in findings))
        ]
        many = counted(len(self.findings), "run")
        return f"{', '.join(counts) or 'nothing found'} in {many}"


def _list_runs(logdir: str) -> Iterator[tuple[str, str]]:
    """List the runs that there are by now; there may be none yet."""
    problems: list[dict] = []
    yield from run_reading.find(logdir, problems)


def _line(run: str, finding: Finding) -> str:
    """Format a finding in a line."""
    where = f" in `{finding.layer}`" if finding.layer else ""
    return printable(
        f"{time.strftime('%H:%M:%S')} {run}: {finding.severity}: "
        f"{finding.kind}{where}, {finding.since}. {finding.what}."
    )
