"""Builds a report: reads the runs one after the other, and packs them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping

from gradscope.format.schema import DIRECTORY
from gradscope.reading import growth, storage
from gradscope_plugin.report import document, thinning
from gradscope_plugin.report.contents import ReportContents
from gradscope_plugin.report.run_source import sources
from gradscope_plugin.report.thinning import Plan, Size

#: Megabytes of a report, unless the user says otherwise: what most mail servers
#: and issue trackers take.
MEGABYTES = 10.0


# Runs that are packed first, to learn how well their numbers deflate.
_WEIGHED = 3

# Megabytes of the smallest report.
_LEAST = 1.0


@dataclasses.dataclass(frozen=True)
class Report:
    """A report.

    Attributes:
        html: The file.
        runs: Names of its runs.
        unreadable: The runs that it lists and cannot show, and why.
        brief: How complete it is, in a few words.
        notes: Omissions, in sentences; empty if it is complete.
    """

    html: str
    runs: tuple[str, ...]
    unreadable: dict[str, str]
    brief: str
    notes: tuple[str, ...]


def build(
    logdir: str | os.PathLike[str],
    directories: Iterable[str],
    *,
    megabytes: float = MEGABYTES,
) -> Report:
    """Build a report of some runs.

    Args:
        logdir: The directory below which they are. The report is called as
            this.
        directories: The directories of their event files.
        megabytes: Largest size of the file. What is larger is rounded and
            thinned out, which the report says.

    Raises:
        ValueError: If the size is too little for the page and some steps.
    """
    if not megabytes >= _LEAST:
        raise ValueError(
            f"a report must have {_LEAST:g} megabyte or more, since the page "
            f"alone takes a third of that; got {megabytes:g}. Give --max-mb a "
            "larger number."
        )
    # The directory `.` has no name for the title.
    logdir = _absolute(os.fspath(logdir))
    runs = _names(logdir, directories)
    room = megabytes * 1e6 - document.page_bytes()
    planned, weight = Plan(), 1.0
    # A layer's numbers are in a report besides those of its variables.
    sizes = [] if 2 * _bytes_of(runs) <= room else _sizes(runs)
    if sizes:
        planned = thinning.plan(sizes, room)
        weight = _weight(runs, planned)
        planned = thinning.plan(sizes, room / weight)
    packed = _pack(runs, planned)
    # With `LEAST` steps nothing further can be left out.
    while packed.file_bytes > room and planned.steps != thinning.LEAST:
        # Other runs deflate worse than those that were weighed.
        weight *= 1.1 * packed.file_bytes / room
        planned = thinning.plan(sizes or _sizes(runs), room / weight)
        packed = _pack(runs, planned)
    title = os.path.basename(logdir)
    html = document.html(title, packed.to_bytes(title), key=logdir)
    return Report(
        html,
        packed.runs,
        packed.unreadable,
        packed.brief(),
        tuple(packed.notes()),
    )


def _names(logdir: str, directories: Iterable[str]) -> dict[str, str]:
    """Name runs as TensorBoard does; return the directory of each.

    A run that is the log directory itself is called as that, which says more
    than TensorBoard's `.`.
    """
    above = os.path.dirname(logdir)
    if os.path.basename(logdir) == DIRECTORY:
        above = os.path.dirname(above)
    names = {}
    for directory in map(_absolute, directories):
        name = os.path.relpath(directory, logdir)
        if name in (os.curdir, DIRECTORY):
            name = os.path.relpath(directory, above)
        names[name.replace(os.sep, "/")] = directory
    return names


def _absolute(path: str) -> str:
    """Return an absolute path; a URL is one."""
    return (
        path.rstrip("/") if storage.is_remote(path) else os.path.abspath(path)
    )


def _bytes_of(runs: Mapping[str, str]) -> int:
    """Return the bytes of the runs' event files."""
    return sum(growth.sizes(runs.values()).values())


def _sizes(runs: Mapping[str, str]) -> list[Size]:
    return [run.size for item in runs.items() for run in sources(*item)]


def _weight(runs: Mapping[str, str], planned: Plan) -> float:
    """Pack some runs; return their bytes, relative to the estimate."""
    names = list(runs)
    sample = [names[index] for index in thinning.evenly(len(names), _WEIGHED)]
    packed = _pack({name: runs[name] for name in sample}, planned)
    return packed.file_bytes / thinning.estimate(packed.sizes, planned)


def _pack(runs: Mapping[str, str], planned: Plan) -> ReportContents:
    packed = ReportContents(planned)
    for name, directory in runs.items():
        packed.add(name, directory)
    return packed
