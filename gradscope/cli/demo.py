"""Subcommand `demo`: trains the examples, and opens them in TensorBoard."""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import time


def add(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand to the parser."""
    demo = commands.add_parser(
        "demo",
        help="train six broken networks and their repairs, and show them",
        description="Trains the examples, some minutes on two cores, and "
        "starts TensorBoard on their runs.",
    )
    demo.add_argument(
        "--logdir", default="logs", help="where runs go (default: logs)"
    )
    demo.add_argument(
        "--only",
        nargs="+",
        metavar="NAME",
        help="only these examples, as in dropout_rate",
    )
    demo.add_argument(
        "--no-serve",
        action="store_true",
        help="end after training, without TensorBoard",
    )
    demo.add_argument("--port", type=int, default=6006, help="of TensorBoard")
    demo.set_defaults(run_command=run)


def run(options: argparse.Namespace) -> int:
    """Train the examples, start TensorBoard, and return the exit code.

    Raises:
        ValueError: If an example does not exist, or a package that it needs is
            not installed.
    """
    for number, name in enumerate(names := _example_names(options.only), 1):
        print(f"[{number}/{len(names)}] {name}: ", end="", flush=True)
        start = time.monotonic()
        command = [sys.executable, "-m", f"gradscope_examples.{name}"]
        command += ["--logdir", options.logdir]
        # TensorFlow's messages about missing GPUs would hide the findings.
        quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        code = subprocess.run(command, env=quiet).returncode
        if code:
            return code
        print(f"({time.monotonic() - start:.0f} s)\n", flush=True)
    if options.no_serve:
        return 0
    print(f"Open http://localhost:{options.port}/#gradscope", flush=True)
    command = [sys.executable, "-m", "tensorboard.main"]
    command += ["--logdir", options.logdir, "--port", str(options.port)]
    return subprocess.run(command).returncode


def _example_names(only: list[str] | None) -> list[str]:
    """List the examples to train; all of them if `only` is None."""
    for need in ("gradscope_examples", "tensorflow", "keras"):
        # Not imported: the examples run in processes of their own.
        if importlib.util.find_spec(need) is None:
            raise ValueError(
                f"`gradscope demo` trains networks, and {need} is missing. "
                'Install it with `pip install "gradscope[examples]"`.'
            )
    from gradscope_examples import NAMES

    for name in only or ():
        if name not in NAMES:
            raise ValueError(
                f"there is no example {name!r}; there are {', '.join(NAMES)}."
            )
    return [name for name in NAMES if not only or name in only]
