"""Subcommand `compare`: says where two runs part."""

from __future__ import annotations

import argparse

import gradscope
from gradscope.comparing import comparison_text
from gradscope.comparing.comparison import TOLERANCE

_HELP = """Print where two runs part: the first step and layer that differ, the
likely reason, and the differences between their configurations.

exit codes: 0 the runs were compared; 1 with --exit-code, if they part or have
nothing in common; 2 a run could not be read."""


def add(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand to the parser."""
    parser = commands.add_parser(
        "compare",
        help="print where two runs part",
        description=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run_a", metavar="RUN_A")
    parser.add_argument("run_b", metavar="RUN_B")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=TOLERANCE,
        metavar="SHARE",
        help="relative difference up to which numbers count as the same "
        "(default: %(default)g)",
    )
    parser.add_argument(
        "--exit-code",
        action="store_true",
        help="exit with 1 if the runs part or have nothing in common",
    )
    parser.set_defaults(run_command=run)


def run(options: argparse.Namespace) -> int:
    """Compare two runs, print the result, and return the exit code."""
    comparison = gradscope.compare(
        options.run_a, options.run_b, tolerance=options.tolerance
    )
    print(
        comparison_text.to_json(comparison)
        if options.json
        else comparison_text.text(comparison)
    )
    return int(options.exit_code and not comparison.same)
