"""Subcommand `report`: writes runs into one HTML file with the whole page."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gradscope.cli import run_reading
from gradscope.terminal import counted, printable

if TYPE_CHECKING:
    from gradscope_plugin.report import build

_HELP = """Writes one HTML file that shows the runs below a directory as the tab
in TensorBoard does, with their findings. It opens from disk, without a server
and without network, so it can be sent or kept with a CI job.

exit codes: 0 the report was written; 2 to 5 as of diagnose, for runs that it
lacks or that are damaged."""


def add(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand to the parser."""
    parser = commands.add_parser(
        "report",
        help="write a self-contained HTML file that shows runs",
        description=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("logdir", metavar="LOGDIR")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        default="report.html",
        help="file to write (default: %(default)s)",
    )
    parser.add_argument(
        "--max-mb",
        type=float,
        default=10,
        metavar="MB",
        help="largest size of the file in megabytes; what does not fit is "
        "rounded and thinned out, which the report says (default: %(default)s)",
    )
    parser.set_defaults(run_command=run)


def run(options: argparse.Namespace) -> int:
    """Write a report, print its contents, and return the exit code."""
    # Imported late, as it takes TensorBoard's modules along.
    from gradscope_plugin.report import build

    problems: list[dict] = []
    runs = run_reading.find(options.logdir, problems)
    directories = [path for _, path in runs]
    if directories:
        report = build.build(
            options.logdir, directories, megabytes=options.max_mb
        )
        with open(options.output, "w", encoding="utf-8") as file:
            file.write(report.html)
        print(f"{printable(options.output)}: {_describe(report)}")
        for name, text in report.unreadable.items():
            run_reading.report_unreadable(problems, name, text)
    return run_reading.print_problems(problems)


def _describe(report: build.Report) -> str:
    """Describe a report in a line."""
    size = len(report.html.encode()) / 1e6
    count = counted(len(report.runs), "run")
    return f"{count}, {report.brief}, {size:.1f} MB"
