"""Subcommand `show`: prints runs as heatmaps, with their findings below."""

from __future__ import annotations

import argparse
import shutil
import sys

import gradscope
from gradscope.cli import run_reading
from gradscope.diagnosis import findings_text
from gradscope.drawing import terminal_heatmap
from gradscope.reading.record import Record
from gradscope.terminal import printable

#: Characters of the narrowest picture.
LEAST_WIDTH = 80

_HELP = """Prints each run below a directory as a heatmap, layers by steps, with
its findings below. It is in colour where `rich` is installed and the terminal
has colours, and else in letters.

exit codes: 0 the runs were shown; 2 to 5 as of diagnose, for runs that could
not be read."""


def add(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand to the parser."""
    parser = commands.add_parser(
        "show",
        help="print runs as heatmaps in the terminal, with their findings",
        description=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("logdir", metavar="LOGDIR")
    parser.add_argument(
        "--statistic",
        default="gradient_norm",
        metavar="NAME",
        help="what to show (default: %(default)s)",
    )
    parser.add_argument(
        "--rows",
        choices=["layers", "variables"],
        default="layers",
        help="a row for each layer (default) or for each variable",
    )
    parser.add_argument(
        "--width",
        type=int,
        metavar="CHARACTERS",
        help="of a line; by default those of the terminal, 80 or more",
    )
    parser.add_argument(
        "--color", choices=["auto", "always", "never"], default="auto"
    )
    parser.set_defaults(run_command=run)


def run(options: argparse.Namespace) -> int:
    """Print heatmaps and findings, and return the exit code."""
    width = max(
        LEAST_WIDTH, options.width or shutil.get_terminal_size().columns
    )
    problems: list[dict] = []
    for name, path in run_reading.find(options.logdir, problems):
        record = run_reading.read(name, path, problems)
        if record is not None:
            _print_run(name, record, width, options)
    return run_reading.print_problems(problems)


def _print_run(
    name: str, record: Record, width: int, options: argparse.Namespace
) -> None:
    grid = record.grid(options.statistic, rows=options.rows)
    print(f"{printable(name)}: {grid.label}, input at the top")
    console = _console(options.color, width)
    if grid.values.size:
        picture = terminal_heatmap.picture(grid, width)
        if console:
            # The picture has the right width. `rich` may neither cut its lines
            # nor break them at a width of its own.
            console.print(
                terminal_heatmap.colored(picture), crop=False, soft_wrap=True
            )
        else:
            print(terminal_heatmap.plain(picture))
    else:
        print("  the run has no such row")
    findings = gradscope.diagnose(record)
    print(findings_text.text(name, findings, colour=console is not None))
    print()


def _console(color: str, width: int):
    """Return a console of `rich` that has colours; None if there is none."""
    if color == "never":
        return None
    try:
        from rich.console import Console
    except ModuleNotFoundError:
        return None
    always = color == "always"
    # None leaves a choice to `rich`, which looks at the terminal and the
    # environment; False would decide against colours.
    console = Console(
        file=sys.stdout,
        width=width,
        force_terminal=always or None,
        color_system="truecolor" if always else "auto",
        no_color=False if always else None,
    )
    has_colors = console.is_terminal and console.color_system is not None
    return console if has_colors and not console.no_color else None
