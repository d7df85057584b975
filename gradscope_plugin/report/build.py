"""Builds a report: reads the runs one after the other, and packs them."""

from __future__ import annotations

import dataclasses
import datetime
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

import gradscope
from gradscope.reading import event_files
from gradscope_plugin.report import answers, document, thinning
from gradscope_plugin.report.answers import Matrix, Refused
from gradscope_plugin.report.packing import Archive
from gradscope_plugin.report.source import RunSource
from gradscope_plugin.report.thinning import Plan, Size
from gradscope_plugin.runs import summary

#: Megabytes of a report, unless the user says otherwise: what most mail servers
#: and issue trackers take.
MEGABYTES = 10.0

# A file of base64 has four bytes for three. The estimates of `thinning` are of
# the file.
_BASE64 = 4 / 3

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
        notes: What it lacks, in sentences; empty if it is complete.
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
            f"alone takes half of that; got {megabytes:g}. Give --max-mb a "
            "larger number."
        )
    logdir = os.path.abspath(logdir)
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
    names = {}
    for directory in map(os.path.abspath, directories):
        name = os.path.relpath(directory, logdir)
        if os.path.dirname(name) == "":
            name = os.path.relpath(directory, os.path.dirname(logdir))
        names[name.replace(os.sep, "/")] = directory
    return names


def _bytes_of(runs: Mapping[str, str]) -> int:
    """Return the bytes of the runs' event files."""
    return sum(
        os.path.getsize(path)
        for directory in runs.values()
        for path in event_files.event_files(directory)
    )


def _sizes(runs: Mapping[str, str]) -> list[Size]:
    return [RunSource(*run).size for run in runs.items()]


def _weight(runs: Mapping[str, str], planned: Plan) -> float:
    """Pack some runs; return their bytes, relative to the estimate."""
    names = list(runs)
    some = [names[index] for index in thinning.evenly(len(names), _WEIGHED)]
    packed = _pack({name: runs[name] for name in some}, planned)
    return packed.file_bytes / thinning.estimate(packed.sizes, planned)


def _pack(runs: Mapping[str, str], planned: Plan) -> _Packing:
    packed = _Packing(planned)
    for name, directory in runs.items():
        packed.add(name, directory)
    return packed


class _Packing:
    """A report in the making.

    Args:
        planned: What it holds.
    """

    def __init__(self, planned: Plan):
        self._plan = planned
        self._archive = Archive()
        self._summaries = []
        self._thinned = 0
        self.sizes: list[Size] = []

    def add(self, name: str, directory: str) -> None:
        """Read a run, and add all its replies."""
        run = RunSource(name, directory)
        if run.summary is None:
            return
        self.sizes.append(run.size)
        if run.described is None:
            self._summaries.append(run.summary)
            return
        steps = run.choose_steps(self._plan.steps)
        self._thinned += len(steps) < run.size.steps
        fields = {**run.summary.fields, "steps": len(steps)}
        self._summaries.append(dataclasses.replace(run.summary, fields=fields))
        for route in answers.ROUTES:
            if route.part in self._plan.left_out:
                continue
            for query in route.queries(run.described, run.asked):
                self._add_reply(run, route, {"run": name, **query}, steps)

    def _add_reply(self, run, route, query, steps) -> None:
        key = answers.key_of(route.path, query)
        try:
            if route.is_json:
                body = run.asked.bytes_of(route.path, query)
                self._archive.add_json(key, body)
                return
            matrix = run.asked.matrix_of(route.path, query)
        except Refused as error:
            self._archive.add_error(key, str(error))
            return
        self._archive.add_matrix(
            key, self._thin(matrix, steps), rounded=self._plan.rounded
        )

    def _thin(self, matrix: Matrix, steps: np.ndarray) -> Matrix:
        if self._plan.steps is None:
            return matrix
        if np.isin(steps, matrix.steps).all():
            return matrix.select(np.isin(matrix.steps, steps))
        return matrix.select(thinning.evenly(len(matrix.steps), thinning.RARE))

    @property
    def runs(self) -> tuple[str, ...]:
        """Names of the runs."""
        return tuple(summary.fields["name"] for summary in self._summaries)

    @property
    def unreadable(self) -> dict[str, str]:
        """The runs that cannot be shown, and why."""
        fields = [summary.fields for summary in self._summaries]
        return {f["name"]: f["error"] for f in fields if "error" in f}

    @property
    def file_bytes(self) -> float:
        """Bytes of the replies in the file."""
        return self._archive.size * _BASE64

    def to_bytes(self, title: str) -> bytes:
        """Return the archive of the report."""
        key = answers.key_of("runs", {})
        self._archive.add_json(key, summary.to_json(self._summaries).encode())
        return self._archive.to_bytes(
            {
                "title": title,
                "version": gradscope.__version__,
                "written": datetime.datetime.now().isoformat(" ", "minutes"),
                "runs": self.runs,
                "brief": self.brief(),
                "notes": self.notes(),
            }
        )

    def brief(self) -> str:
        """Say in a few words how complete the report is."""
        if self._thinned:
            return f"thinned out to {self._plan.steps} steps a run"
        if self._plan.rounded:
            return "all recorded steps, rounded to three digits"
        return "all recorded steps"

    def notes(self) -> list[str]:
        """Say what the report lacks, in sentences."""
        return list(_notes(self._plan, self.sizes, self._thinned))


_PARTS = {
    "histograms": "Histograms are left out.",
    "variables": "Rows for single variables are left out.",
    "units": "Maps of units are left out.",
}


def _notes(planned: Plan, sizes: Sequence[Size], thinned: int) -> Iterator[str]:
    if thinned:
        which = "Each run" if thinned == len(sizes) else f"{thinned} runs"
        verb = "is" if thinned == len(sizes) else "are"
        yield (
            f"{which} {verb} thinned out to {planned.steps} of the recorded "
            "steps: the first and the last, those of findings, those at which "
            "a number becomes NaN or infinite, evenly spaced ones, and those "
            "at which a layer's gradient norm departs furthest from its "
            "neighbours."
        )
        if any(max(s.rare_steps.values()) > thinning.RARE for s in sizes):
            yield (
                f"Maps of units and histograms are shown of {thinning.RARE} "
                "evenly spaced steps."
            )
    if planned.rounded:
        yield "Numbers are rounded to three digits; counts are exact."
    for part in planned.left_out:
        if any(size.numbers.get(part) for size in sizes):
            yield _PARTS[part]
    if planned != Plan():
        yield (
            "Findings come from all recorded steps and exact numbers. "
            "`gradscope report --max-mb` makes a larger file that leaves out "
            "less."
        )
