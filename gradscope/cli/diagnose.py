"""Subcommand `diagnose`: prints the findings of all runs below a directory."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

import gradscope
from gradscope.cli import run_reading
from gradscope.cli.run_reading import DAMAGED, NEWER, NO_RECORD, NO_RUN
from gradscope.diagnosis import findings_text
from gradscope.diagnosis.finding import SEVERITIES
from gradscope.diagnosis.limits import LIMITS, Ignore, Limits

if TYPE_CHECKING:
    from gradscope.diagnosis.finding import Finding

#: Exit code of `--fail-on`; `runs` has the others. Where several apply, the
#: largest is used.
FAILED = 1

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
    for name, path in run_reading.find(options.logdir, problems):
        record = run_reading.read(name, path, problems)
        if record is not None:
            findings[name] = gradscope.diagnose(
                record, limits=overrides, ignore=options.ignore
            )
    if options.json:
        print(findings_text.to_json(findings, problems))
    else:
        # A pipe gets no colours, and neither does who sets `NO_COLOR` to any
        # value, as https://no-color.org asks for.
        colour = options.color == "always" or (
            options.color == "auto"
            and sys.stdout.isatty()
            and "NO_COLOR" not in os.environ
        )
        texts = [
            findings_text.text(n, f, colour=colour) for n, f in findings.items()
        ]
        print("\n\n".join(texts))
    code = run_reading.print_problems(problems)
    return max(code, exit_code(findings, options.fail_on))


def _assignment(text: str) -> tuple[str, str]:
    """Parse `LIMIT=VALUE`; `Limits` checks name and value."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(
            f"--set takes LIMIT=VALUE, got {text!r}. Write, for example, "
            "--set vanishing-gradient.ratio=0.001."
        )
    return name, value


def exit_code(findings: dict[str, list[Finding]], fail_on: str | None) -> int:
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
