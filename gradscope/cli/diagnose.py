"""Subcommand `diagnose`: prints the findings of all runs below a directory."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

import gradscope
from gradscope import terminal
from gradscope.diagnosis import report
from gradscope.diagnosis.finding import SEVERITIES
from gradscope.diagnosis.limits import LIMITS, Ignore, Limits
from gradscope.format.schema import SchemaError
from gradscope.reading import event_files, read

if TYPE_CHECKING:
    from gradscope.diagnosis.finding import Finding
    from gradscope.reading.record import Record

#: Exit codes. `FAILED` is that of `--fail-on`. Where several apply, the largest
#: is used.
FAILED, NO_RUN, NO_RECORD, DAMAGED, NEWER = 1, 2, 3, 4, 5

_HELP = f"""Says what is wrong with each run below a directory, worst first.

exit codes: 0 all runs were diagnosed; {FAILED} there are findings of --fail-on;
{NO_RUN} there is no such directory, or nothing in it; {NO_RECORD} there are
event files, but none of gradscope's; {DAMAGED} an event file is damaged (what
could be read is diagnosed); {NEWER} a run was recorded by a newer gradscope.
Where several apply, the largest."""


def add(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand to the parser."""
    parser = commands.add_parser(
        "diagnose",
        help="say what is wrong with the runs below a directory",
        description=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("logdir", metavar="LOGDIR")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--fail-on",
        choices=SEVERITIES,
        help=f"exit with {FAILED} if there is such a finding, or a worse one",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="LIMIT=VALUE",
        help="another limit, as in vanishing-gradient.ratio=0.001; "
        "--limits lists all",
    )
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="KIND[:LAYER]",
        help="leave these findings out",
    )
    parser.add_argument(
        "--limits", action=_ListLimits, nargs=0, help="list the limits"
    )
    parser.add_argument(
        "--color", choices=["auto", "always", "never"], default="auto"
    )
    parser.set_defaults(run_command=run)


def run(options: argparse.Namespace) -> int:
    """Diagnose runs, print findings and problems, and return the exit code."""
    overrides = dict(_assignment(text) for text in options.set)
    # Wrong options are reported before a run is read.
    Limits(overrides)
    for text in options.ignore:
        Ignore.parse(text)
    findings, problems = {}, []
    for name, path in _runs(options.logdir, problems):
        record = _read_record(name, path, problems)
        if record is not None:
            findings[name] = gradscope.diagnose(
                record, limits=overrides, ignore=options.ignore
            )
    if options.json:
        print(report.to_json(findings, problems))
    else:
        colour = options.color == "always" or (
            options.color == "auto"
            and sys.stdout.isatty()
            and "NO_COLOR" not in os.environ
        )
        texts = [report.text(n, f, colour=colour) for n, f in findings.items()]
        print("\n\n".join(texts))
    for problem in problems:
        message = terminal.printable(problem["message"])
        print(f"gradscope: {message}", file=sys.stderr)
    codes = [problem["code"] for problem in problems]
    return max([*codes, _exit_code(findings, options.fail_on)])


def _runs(logdir: str, problems: list[dict]) -> list[tuple[str, str]]:
    """List runs by name and directory, or report that none exist."""
    if not os.path.isdir(logdir):
        _report_problem(
            problems, logdir, NO_RUN, f"there is no directory {logdir}."
        )
        return []
    below = read.runs_below(logdir)
    # A run is in a sub-directory of a fixed name, unless its files were moved.
    if not below and event_files.event_files(logdir):
        below = [logdir]
    if below:
        names = [os.path.dirname(os.path.relpath(p, logdir)) for p in below]
        return [
            (name or logdir, path)
            for name, path in zip(names, below, strict=True)
        ]
    if any("tfevents" in f for _, _, fs in os.walk(logdir) for f in fs):
        _report_problem(
            problems,
            logdir,
            NO_RECORD,
            f"{logdir} has event files, but none that gradscope wrote. Wrap "
            "the optimizer, gradscope.wrap(optimizer, logdir), or add "
            "gradscope.Callback(logdir) to `fit`, and train again.",
        )
    else:
        _report_problem(
            problems,
            logdir,
            NO_RUN,
            f"there is no run below {logdir}: no event file. Give the "
            "directory that was given to gradscope.wrap, or one above it.",
        )
    return []


def _read_record(name: str, path: str, problems: list[dict]) -> Record | None:
    """Read a run, and report damage; None if it has no record."""
    try:
        record = gradscope.read(path)
    except SchemaError as error:
        newer = "upgrade" in str(error)
        _report_problem(
            problems, name, NEWER if newer else DAMAGED, f"{name}: {error}"
        )
        return None
    except FileNotFoundError:
        damage = [
            d
            for p in event_files.event_files(path)
            for d in event_files.damage(p)
        ]
        if damage:
            for text in damage:
                _report_problem(problems, name, DAMAGED, f"{name}: {text}")
        else:
            _report_problem(
                problems,
                name,
                NO_RECORD,
                f"{name} has an event file, but no recorded step yet.",
            )
        return None
    for text in record.damage:
        _report_problem(problems, name, DAMAGED, f"{name}: {text}")
    return record


def _report_problem(
    problems: list[dict], run: str, code: int, message: str
) -> None:
    problems.append({"run": run, "code": code, "message": message})


def _assignment(text: str) -> tuple[str, str]:
    """Parse `LIMIT=VALUE`; `Limits` checks name and value."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(
            f"--set takes LIMIT=VALUE, got {text!r}. Write it as in "
            "--set vanishing-gradient.ratio=0.001."
        )
    return name, value


def _exit_code(findings: dict[str, list[Finding]], fail_on: str | None) -> int:
    """Return `FAILED` if a finding is as severe as `fail_on`, or else 0."""
    if fail_on is None:
        return 0
    worst = SEVERITIES[: SEVERITIES.index(fail_on) + 1]
    return (
        FAILED
        if any(f.severity in worst for fs in findings.values() for f in fs)
        else 0
    )


class _ListLimits(argparse.Action):
    """Option that prints all limits, and ends the program."""

    def __call__(self, parser, namespace, values, option_string=None):
        for name, limit in LIMITS.items():
            print(f"{name}={limit.default:g}\n    {limit.meaning}")
        parser.exit()
