"""From event files to a record; TensorFlow is not needed, and not imported."""

from __future__ import annotations

import dataclasses
import os
import sys

from gradscope.format import schema as schema_module
from gradscope.reading import event_files
from gradscope.reading.joining import from_series
from gradscope.reading.record import Record


def read(run_dir: str | os.PathLike) -> Record:
    """Returns what was recorded in one run.

    Args:
        run_dir: The directory given to `gradscope.wrap`, or the sub-directory
            with the event files.

    Raises:
        FileNotFoundError: If no run was recorded there.
        ValueError: If several runs were recorded below; it lists them.
    """
    if "gradscope.wrapping" in sys.modules:
        # What this very process has measured is read to the last step.
        sys.modules["gradscope.wrapping"].flush()
    directory = _run_directory(os.fspath(run_dir))
    arrived: dict[str, list] = {}
    damage: list[str] = []
    for path in event_files.event_files(directory):
        for event in event_files.pieces(path):
            if isinstance(event, str):
                damage.append(event)
                continue
            for value in event.summary.value:
                if not schema_module.parse_tag(value.tag):
                    continue
                try:
                    content = event_files.to_numpy(value.tensor)
                except ValueError:
                    continue  # damaged; the others are not
                arrived.setdefault(value.tag, []).append(
                    (event.step, event.wall_time, content)
                )
    record = from_series(os.fspath(run_dir), arrived)
    if record is None:
        raise FileNotFoundError(
            f"{directory} has no whole record yet. Steps are written every "
            "few seconds, on `gradscope.flush()` and at the end of training."
        )
    return dataclasses.replace(record, damage=tuple(damage))


def runs_below(directory: str) -> list[str]:
    """Returns the directories below (or at) one that hold a recorded run."""
    return sorted(
        path
        for path, _, files in os.walk(directory)
        if os.path.basename(os.path.abspath(path)) == schema_module.DIRECTORY
        and any("tfevents" in name for name in files)
    )


def _run_directory(directory: str) -> str:
    if not os.path.isdir(directory):
        raise FileNotFoundError(
            f"no directory {directory}. Give the log directory that was given "
            "to `gradscope.wrap`."
        )
    own = os.path.join(directory, schema_module.DIRECTORY)
    if os.path.isdir(own) and event_files.event_files(own):
        return own
    # Others write event files too, beside or above our sub-directories.
    below = [path for path in runs_below(directory) if path != directory]
    if not below and event_files.event_files(directory):
        return directory
    if below:
        raise ValueError(
            f"{directory} holds {len(below)} runs, `read` takes one: "
            + ", ".join(below)
        )
    raise FileNotFoundError(
        f"nothing was recorded in {directory}: no event file in {own}."
    )
