"""Finds and reads the runs below a directory, for several subcommands.

Their defects are collected as problems, each with the exit code that
it leads to.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import gradscope
from gradscope import terminal
from gradscope.format.schema import SchemaError
from gradscope.reading import event_files, storage
from gradscope.reading.read import runs_below

if TYPE_CHECKING:
    from gradscope.reading.record import Record

#: Exit codes: there is no run, no record, a damaged file, or one of a newer
#: gradscope. Where several apply, the largest is used.
NO_RUN, NO_RECORD, DAMAGED, NEWER = 2, 3, 4, 5


def find(logdir: str, problems: list[dict]) -> list[tuple[str, str]]:
    """List the runs below a directory, or report that none exist.

    Args:
        logdir: The directory.
        problems: Gets a problem if there is no run.

    Returns:
        For each run its name and the directory of its event files.
    """
    if not has_storage(logdir, problems):
        return []
    if not storage.is_directory(logdir):
        report_problem(
            problems, logdir, NO_RUN, f"there is no directory {logdir}."
        )
        return []
    below = runs_below(logdir)
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
        "tfevents" in os.path.basename(p) for p in storage.files_below(logdir)
    ):
        report_problem(
            problems,
            logdir,
            NO_RECORD,
            f"{logdir} has event files, but none that gradscope wrote. Wrap "
            "the optimizer with gradscope.wrap(optimizer, logdir), or add "
            "gradscope.Callback(logdir) to `fit`, and train again.",
        )
    else:
        report_problem(
            problems,
            logdir,
            NO_RUN,
            f"there is no run below {logdir}, since there is no event file. "
            "Pass the directory that was passed to gradscope.wrap, or one "
            "above it.",
        )
    return []


def has_storage(logdir: str, problems: list[dict]) -> bool:
    """Test whether a directory's storage can be read, or report why not.

    The package of remote storage may be missing, or its protocol unknown.
    """
    try:
        if storage.is_remote(logdir):
            storage.file_system(logdir)
    except (ImportError, ValueError) as error:
        report_problem(problems, logdir, NO_RUN, str(error))
        return False
    return True


def read(name: str, path: str, problems: list[dict]) -> Record | None:
    """Read a run, and report damage; return None if it has no record."""
    try:
        record = gradscope.read(path)
    except SchemaError as error:
        report_unreadable(problems, name, str(error))
        return None
    except FileNotFoundError:
        # Damage at the beginning of a file may be why no step can be read.
        damage = [
            d
            for p in event_files.event_files(path)
            for d in event_files.damage(p)
        ]
        if damage:
            for text in damage:
                report_problem(problems, name, DAMAGED, f"{name}: {text}")
        else:
            report_problem(
                problems,
                name,
                NO_RECORD,
                f"{name} has an event file, but no recorded step yet.",
            )
        return None
    for text in record.damage:
        report_problem(problems, name, DAMAGED, f"{name}: {text}")
    return record


def report_problem(
    problems: list[dict], run: str, code: int, message: str
) -> None:
    """Add a problem: a run that could not be read, or only in part."""
    problems.append({"run": run, "code": code, "message": message})


def report_unreadable(problems: list[dict], run: str, reason: str) -> None:
    """Add the problem that a run cannot be read at all."""
    # A `SchemaError` has no code; of its messages only that about a newer
    # version says so.
    code = NEWER if "upgrade" in reason else DAMAGED
    report_problem(problems, run, code, f"{run}: {reason}")


def print_problems(problems: list[dict]) -> int:
    """Print problems on stderr; return their exit code, 0 without any."""
    for problem in problems:
        message = terminal.printable(problem["message"])
        print(f"gradscope: {message}", file=sys.stderr)
    return max((problem["code"] for problem in problems), default=0)
