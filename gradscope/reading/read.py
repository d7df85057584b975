"""Reads the event files of a run into a `Record`, without TensorFlow."""

from __future__ import annotations

import dataclasses
import os
import sys
from typing import Any

from gradscope.format import schema as schema_module
from gradscope.reading import event_files, storage
from gradscope.reading.joining import from_series
from gradscope.reading.record import Record

#: Bytes at the beginning of an event file in which a record is looked for.
_BEGINNING = 2**16


def read(run_dir: str | os.PathLike[str]) -> Record:
    """Read the record of one run.

    Args:
        run_dir: The directory or URL given to `gradscope.wrap`, or the
            sub-directory with the event files.

    Returns:
        The record. Damaged parts of the files are left out, and listed in
        `record.damage`.

    Raises:
        FileNotFoundError: If the directory has no recorded run.
        ValueError: If several runs were recorded below the directory; the
            message lists them.

    Examples:
        >>> import keras, numpy
        >>> import gradscope
        >>> optimizer = keras.optimizers.SGD()
        >>> _ = gradscope.wrap(optimizer, "logs/run", every=2)
        >>> weight = keras.Variable([1.0], name="weight")
        >>> for _ in range(60):
        ...     optimizer.apply([numpy.ones([1])], [weight])
        >>> record = gradscope.read("logs/run")
        >>> record.steps[[0, 1, 49, 50, 51]].tolist()  # dense up to step 50
        [0, 1, 49, 50, 52]
    """
    flush_recordings()
    directory = _run_directory(os.fspath(run_dir))
    series: dict[str, list[Any]] = {}
    damage: list[str] = []
    for path in event_files.event_files(directory):
        for event in event_files.events_and_damage(path):
            if isinstance(event, str):
                damage.append(event)
                continue
            for value in event.summary.value:
                if not schema_module.parse_tag(value.tag):
                    continue
                try:
                    array = event_files.to_numpy(value.tensor)
                except ValueError:
                    continue  # only this value is damaged
                series.setdefault(value.tag, []).append(
                    (event.step, event.wall_time, array)
                )
    record = from_series(os.fspath(run_dir), series)
    if record is None:
        raise FileNotFoundError(
            f"{directory} has no complete record yet. Steps are written every "
            "few seconds, on `gradscope.flush()` and at the end of training."
        )
    return dataclasses.replace(record, damage=tuple(damage))


def flush_recordings() -> None:
    """Write what this process is recording, up to the last step."""
    # Looked up and not imported: a process that only reads needs no TensorFlow.
    if "gradscope.wrapping" in sys.modules:
        sys.modules["gradscope.wrapping"].flush()


def runs_below(directory: str) -> list[str]:
    """List the directories with a recorded run, at or below a directory."""
    directories = {
        os.path.dirname(path)
        for path in storage.files_below(directory)
        if "tfevents" in os.path.basename(path)
    }
    return sorted(
        path
        for path in directories
        if any(map(_holds_a_record, event_files.event_files(path)))
    )


def _holds_a_record(path: str) -> bool:
    """Test whether gradscope wrote an event file.

    Its directory tells, unless it was renamed; then the first tags do, since a
    file begins with the schema.
    """
    folder = os.path.basename(os.path.dirname(os.path.abspath(path)))
    if folder == schema_module.DIRECTORY:
        return True
    with storage.open_file(path) as file:
        return f"{schema_module.PLUGIN_NAME}/".encode() in file.read(_BEGINNING)


def _run_directory(directory: str) -> str:
    if not storage.is_directory(directory):
        raise FileNotFoundError(
            f"no directory {directory}. Give the directory that was passed to "
            "`gradscope.wrap`."
        )
    subdir = os.path.join(directory, schema_module.DIRECTORY)
    if storage.is_directory(subdir) and event_files.event_files(subdir):
        return subdir
    # A directory's own event files may be those of another program.
    below = [path for path in runs_below(directory) if path != directory]
    if not below and event_files.event_files(directory):
        return directory
    if below:
        raise ValueError(
            f"{directory} holds {len(below)} runs, but `read` takes one. "
            "Choose one of " + ", ".join(below)
        )
    raise FileNotFoundError(
        f"nothing was recorded in {directory}: no event file in {subdir}."
    )
