"""The command `gradscope`; only its subcommand `check` imports TensorFlow.

gradscope export logs/run --csv run.csv --statistic gradient_norm
gradscope nonfinite logs/run
gradscope diagnose logs --fail-on error
gradscope report logs -o report.html
gradscope show logs
gradscope watch logs
gradscope demo
gradscope compare logs/broken logs/repaired
gradscope check model.keras batch.npz
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence

import numpy as np

import gradscope
from gradscope import terminal
from gradscope.cli import check, compare, demo, diagnose, report, show, watch
from gradscope.reading.row_values import WHOLE_STEP, values_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Arguments; None for those of the command line.

    Returns:
        The exit code: 0, or 2 after a message on stderr if the command failed.
        Subcommands may have further exit codes; `--help` lists them.
    """
    options = _parser().parse_args(arguments)
    try:
        return options.run_command(options) or 0
    # What a wrong path, option or name raises. All else is a fault of
    # gradscope's, of which the traceback says more.
    except (OSError, ValueError, KeyError) as error:
        # `str` of a KeyError would put its message in quotes.
        message = error.args[0] if isinstance(error, KeyError) else error
        # Names in the message may come from a file of somebody else.
        lines = [terminal.printable(line) for line in str(message).split("\n")]
        print("gradscope: " + "\n".join(lines), file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gradscope", description="Look at recorded trainings."
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"gradscope {gradscope.__version__}",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    export = commands.add_parser(
        "export",
        help="write a run's numbers to a table",
        description="Writes a table with the columns step, row, statistic and "
        "value: one line for each number. What is undefined or was not "
        "recorded is an empty value; infinity is inf or -inf. Numbers of the "
        f"whole step, like the learning rate, have the row {WHOLE_STEP!r}.",
    )
    _add_run(export)
    export.add_argument(
        "--csv", metavar="FILE", required=True, help="table to write"
    )
    export.add_argument(
        "--statistic",
        metavar="NAME",
        nargs="+",
        action="extend",
        help="only these, as in gradient_norm; all by default",
    )
    export.add_argument(
        "--rows",
        choices=["variables", "layers"],
        default="variables",
        help="a row for each variable (default) or for each layer",
    )
    export.set_defaults(run_command=_export)
    nonfinite = commands.add_parser(
        "nonfinite",
        help="print what became NaN or infinite first",
        description="Print what became NaN or infinite first, in which step, "
        "and where to look next.",
    )
    _add_run(nonfinite)
    nonfinite.set_defaults(run_command=_nonfinite)
    diagnose.add(commands)
    report.add(commands)
    show.add(commands)
    watch.add(commands)
    demo.add(commands)
    compare.add(commands)
    check.add(commands)
    return parser


def _add_run(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "run", metavar="RUN", help="directory that was given to gradscope.wrap"
    )


def _nonfinite(options: argparse.Namespace) -> None:
    record = gradscope.read(options.run)
    origin = record.first_nonfinite()
    if origin is None:
        steps = len(record.steps)
        print(f"nothing became NaN or infinite in {steps} recorded steps")
    else:
        print(terminal.printable(origin.message))


def _export(options: argparse.Namespace) -> None:
    record = gradscope.read(options.run)
    statistics = options.statistic or record.statistics
    columns = []
    for statistic in statistics:
        names, values = values_of(record, statistic, options.rows)
        # A carriage return or half a character in a name would break the table.
        names = [terminal.printable(name) for name in names]
        columns.append((terminal.printable(statistic), names, values))
    # Lines end in the same way on all systems: `csv` would end them with
    # `\r\n`, and Windows would make `\r\n` of each `\n`.
    with open(options.csv, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["step", "row", "statistic", "value"])
        table.writerows(_lines(record.steps, columns))


def _lines(
    steps: np.ndarray,
    columns: list[tuple[str, Sequence[str], np.ndarray]],
) -> Iterator[list]:
    """Generate the lines of the table: step, row, statistic and value."""
    for index, step in enumerate(steps.tolist()):
        for statistic, names, values in columns:
            for name, value in zip(names, values[index], strict=True):
                # `str` gives the shortest text that reads as the same float32.
                text = "" if np.isnan(value) else str(value)
                yield [step, name, statistic, text]
