"""Where a training is recorded: each in a directory of its own.

Whoever names one directory for several trainings (folds, a grid search, a
notebook's cell that is run again) wants to see all of them, and a training
that goes on where it was interrupted wants to be one. So a training that
begins with step 0, or has another model, goes into `run_2`, `run_3` and so on
below the directory, where TensorBoard shows whatever is below its own.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading

import tensorflow as tf

from gradscope.format import schema as schema_module
from gradscope.format.schema import DIRECTORY, Schema
from gradscope.reading import event_files

_NUMBERED = re.compile(r"run_(\d+)/?$")

#: Held while a directory is chosen and its first file is made.
_lock = threading.RLock()

_told: set[str] = set()


def chosen(directory: str, schema: Schema, first_step: int) -> str:
    """Returns the directory of the event files of a training.

    Args:
        directory: The one that was asked for, a run's `gradscope`.
        schema: Of the training.
        first_step: The optimizer's step when it began.
    """
    run = os.path.dirname(directory)
    present = _present(run)
    if not present:
        return directory
    if first_step > 0:
        for number in sorted(present, reverse=True):
            if _is_of(present[number], schema):
                return present[number]
    if 1 not in present:
        return directory
    return os.path.join(run, f"run_{max(present) + 1}", DIRECTORY)


@contextlib.contextmanager
def choosing(directory: str):
    """A place where no other thread chooses a directory, nor a process, where
    the file system can tell."""
    with _lock, contextlib.ExitStack() as stack:
        if "://" not in directory:  # else it is on another machine
            # No such module on Windows, and no locks on some networks.
            with contextlib.suppress(ImportError, OSError):
                import fcntl

                os.makedirs(directory, exist_ok=True)
                descriptor = os.open(directory, os.O_RDONLY)
                stack.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def news(asked: str, directory: str, first_step: int) -> str | None:
    """Returns what to tell of a directory that was chosen, once for each that
    was asked for; None where there is nothing to tell.

    Args:
        asked: The directory that was asked for.
        directory: That was chosen.
        first_step: Of the training.
    """
    if directory == asked or first_step > 0 or asked in _told:
        return None
    _told.add(asked)
    run = os.path.dirname(asked)
    return (
        f"{run} has the record of another training, so this one is recorded "
        f"in {os.path.dirname(directory)}, and those that follow likewise. To "
        "choose a name, give each training a directory of its own."
    )


def _present(run: str) -> dict[int, str]:
    """Returns the directories with event files of a run, by their number."""
    found = {1: os.path.join(run, DIRECTORY)}
    if tf.io.gfile.isdir(run):
        for name in tf.io.gfile.listdir(run):
            numbered = _NUMBERED.match(name)
            if numbered:
                path = os.path.join(run, name.rstrip("/"), DIRECTORY)
                found[int(numbered[1])] = path
    return {n: path for n, path in found.items() if _has_record(path)}


def _has_record(directory: str) -> bool:
    return tf.io.gfile.isdir(directory) and any(
        "tfevents" in name for name in tf.io.gfile.listdir(directory)
    )


def _is_of(directory: str, schema: Schema) -> bool:
    """Returns whether a record is of a model: one of them has all variables
    of the other. (An optimizer may meet some of them later.)"""
    if not os.path.isdir(directory):
        return True  # on another machine: only its names can be had
    recorded = _last_schema(directory)
    if recorded is None:
        return False
    one, other = map(_variables, (recorded, schema))
    return one <= other or other <= one


def _variables(schema: Schema) -> set:
    return {(v.name, tuple(v.shape)) for v in schema.variables}


def _last_schema(directory: str) -> Schema | None:
    """Returns the schema that the newest file begins with."""
    for path in reversed(event_files.event_files(directory)):
        for event in event_files.events(path):
            for value in event.summary.value:
                found = schema_module.parse_tag(value.tag)
                if not found or found[0] != "schema":
                    continue
                with contextlib.suppress(ValueError, schema_module.SchemaError):
                    text = event_files.to_numpy(value.tensor)
                    return Schema.from_json(text)
    return None
