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
from gradscope.reading import event_files, files, read

if TYPE_CHECKING:
    from gradscope.diagnosis.finding import Finding
    from gradscope.reading.record import Record

#: Exit codes. `FAILED` is that of `--fail-on`. Where several apply, the largest
#: is used.
FAILED, NO_RUN, NO_RECORD, DAMAGED, NEWER = 1, 2, 3, 4, 5

_HELP = f"""Print what is wrong with each run below a directory, worst first.

exit codes: 0 all runs were diagnosed; {FAILED} a finding is as severe as
--fail-on, or worse; {NO_RUN} the directory does not exist or has no event file;
{NO_RECORD} there are event files, but gradscope wrote none of them; {DAMAGED}
an event file is damaged (the readable part is diagnosed); {NEWER} a run was
recorded by a newer version of gradscope. If several apply, the largest code is
returned."""


def add(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand to the parser."""
    parser = commands.add_parser(
        "diagnose",
        help="print what is wrong with the runs below a directory",
        description=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("logdir", metavar="LOGDIR")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--fail-on",
        choices=SEVERITIES,
        help=f"exit with {FAILED} if a finding is this severe, or worse",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="LIMIT=VALUE",
        help="change a limit, as in vanishing-gradient.ratio=0.001; "
        "--limits lists all of them",
    )
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="KIND[:LAYER]",
        help="leave out findings of this kind, or of this kind in one layer",
    )
    parser.add_argument(
        "--limits",
        action=_ListLimits,
        nargs=0,
        help="list all limits and their defaults",
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
    try:
        is_directory = files.is_directory(logdir)
    except (ImportError, ValueError) as error:
        _report_problem(problems, logdir, NO_RUN, str(error))
        return []
    if not is_directory:
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
    if any(
        "tfevents" in os.path.basename(p) for p in files.files_below(logdir)
    ):
        _report_problem(
            problems,
            logdir,
            NO_RECORD,
            f"{logdir} has event files, but none that gradscope wrote. Wrap "
            "the optimizer with gradscope.wrap(optimizer, logdir), or add "
            "gradscope.Callback(logdir) to `fit`, and train again.",
        )
    else:
        _report_problem(
            problems,
            logdir,
            NO_RUN,
            f"there is no run below {logdir}, since there is no event file. "
            "Pass the directory that was passed to gradscope.wrap, or one "
            "above it.",
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
            f"--set takes LIMIT=VALUE, got {text!r}. Write, for example, "
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
