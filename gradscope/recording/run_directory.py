"""Chooses the directory of a training's record, one for each training.

Several trainings may be given the same directory: folds, a grid search, or a
cell of a notebook that is run again. Each is a run of its own, while a training
that resumes an interrupted one continues its run. So a training that begins
with step 0 or has another model is recorded in `run_2`, `run_3` and so on below
the directory, where TensorBoard finds it.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterator

from gradscope.format import json_tensor
from gradscope.format import schema as schema_module
from gradscope.format.schema import DIRECTORY, Schema
from gradscope.reading import event_files, storage

_NUMBERED = re.compile(r"run_(\d+)$")

#: Held while a directory is chosen and its first file is created.
_lock = threading.RLock()

#: Requested directories of which `describe_choice` has reported another choice.
_announced: set[str] = set()


def choose(directory: str, schema: Schema, first_step: int) -> str:
    """Choose the directory of the event files of a training.

    Args:
        directory: The requested one, `gradscope` in the directory of a run.
        schema: Schema of the training.
        first_step: The optimizer's step number when the training began.
    """
    run = os.path.dirname(directory)
    directories = _find_records(run)
    if not directories:
        return directory
    if first_step > 0:
        # The latest training of this model is the one that goes on.
        for number in sorted(directories, reverse=True):
            if _is_of_same_model(directories[number], schema):
                return directories[number]
    # Only numbered runs are left of the trainings before.
    if 1 not in directories:
        return directory
    return os.path.join(run, f"run_{max(directories) + 1}", DIRECTORY)


@contextlib.contextmanager
def exclusive_choice(directory: str) -> Iterator[None]:
    """Lock the choice of a directory against other threads and processes.

    Processes are locked out only on file systems with locks.
    """
    with _lock, contextlib.ExitStack() as stack:
        if not storage.is_remote(directory):
            # Windows has no such module, and some network drives no locks.
            with contextlib.suppress(ImportError, OSError):
                import fcntl

                os.makedirs(directory, exist_ok=True)
                descriptor = os.open(directory, os.O_RDONLY)
                stack.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def describe_choice(
    requested: str, directory: str, first_step: int
) -> str | None:
    """Explain why another directory than the requested one was chosen.

    Args:
        requested: The requested directory.
        directory: The chosen directory.
        first_step: The optimizer's step number when the training began.

    Returns:
        A message for the user. None if there is nothing to explain, or if the
        same requested directory was explained before.
    """
    if directory == requested or first_step > 0 or requested in _announced:
        return None
    _announced.add(requested)
    run = os.path.dirname(requested)
    return (
        f"{run} already has the record of another training, so this training "
        f"is recorded in {os.path.dirname(directory)}, and later ones in "
        "directories of the same kind. To choose the names yourself, give each "
        "training its own directory."
    )


def _find_records(run: str) -> dict[int, str]:
    """Find the directories with event files of a run, by their number."""
    directories = {1: os.path.join(run, DIRECTORY)}
    if storage.is_directory(run):
        for name in storage.names_in(run):
            numbered = _NUMBERED.match(name)
            if numbered:
                path = os.path.join(run, name, DIRECTORY)
                directories[int(numbered[1])] = path
    return {n: path for n, path in directories.items() if _has_record(path)}


def _has_record(directory: str) -> bool:
    return storage.is_directory(directory) and any(
        "tfevents" in name for name in storage.names_in(directory)
    )


def _is_of_same_model(directory: str, schema: Schema) -> bool:
    """Return whether a record has the variables of a schema.

    One of the two may have more variables: an optimizer can be given some of
    them later.
    """
    recorded = _last_schema(directory)
    if recorded is None:
        return False
    older, newer = map(_variables, (recorded, schema))
    return older <= newer or newer <= older


def _variables(schema: Schema) -> set:
    return {(v.name, tuple(v.shape)) for v in schema.variables}


def _last_schema(directory: str) -> Schema | None:
    """Read the first schema of the newest file that has one."""
    for path in reversed(event_files.event_files(directory)):
        for event in event_files.events(path):
            for value in event.summary.value:
                parsed = schema_module.parse_tag(value.tag)
                if not parsed or parsed[0] != "schema":
                    continue
                with contextlib.suppress(ValueError, schema_module.SchemaError):
                    array = event_files.to_numpy(value.tensor)
                    text = json_tensor.to_text(array)
                    if text is not None:
                        return Schema.from_json(text)
    return None
