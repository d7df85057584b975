"""The judgement on two functions as text for a terminal, and as JSON."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from gradscope.terminal import join_names, json_value, paragraph, printable

if TYPE_CHECKING:
    from gradscope.evaluating.same_result import Row, Sameness

#: Of `to_dict`; goes up when a field changes its meaning or goes away.
JSON_VERSION = 1


def verdict(found: Sameness) -> str:
    """Returns in one sentence whether two functions are the same."""
    count, by = len(found.rows), found.largest(found.precision)
    agree = (
        f"in {found.precision} the gradients of all {count} variables agree to "
        f"{by:.2g}"
    )
    if found.same:
        return f"The two are the same function: {agree}."
    if found.same is None:
        return (
            f"float32 cannot tell whether the two are the same function: their "
            f"gradients differ by up to {by:.2g}, which may be rounding."
        )
    way = "forward" if found.way == "forward" else "back"
    where = f" in {found.layer}" if found.layer else ""
    return (
        f"The two are different functions: they part on the way {way}{where}; "
        f"{found.place}."
    )


def text(found: Sameness) -> str:
    """Returns the judgement for people, the verdict first."""
    parts = [paragraph(verdict(found), "")]
    for precision, (a, b) in found.losses.items():
        parts.append(f"  loss in {precision}: {a:.9g} and {b:.9g}")
    parts += ["", *_table(found)]
    if any(row.noise for row in found.rows):
        parts += [
            "",
            paragraph(
                "noise: a gradient that is next to nothing beside the largest, "
                "as of a bias before a norm: its true value is 0, what is left "
                "of it is rounding, and its difference says nothing."
            ),
        ]
    parts += [paragraph(note) for note in notes(found)]
    return "\n".join(parts)


def notes(found: Sameness) -> list[str]:
    """Returns what else one should know, in sentences."""
    told = []
    if found.float64_problem:
        told.append(f"There is no float64: {found.float64_problem}.")
    if found.moved:
        told.append(
            f"The second had other values in {join_names(found.moved)}; it was "
            "computed with those of the first."
        )
    for names, which in ((found.only_a, "first"), (found.only_b, "second")):
        if names:
            told.append(f"Only the {which} has {join_names(names)}.")
    if any(found.random):
        told.append(
            "Random numbers are drawn that no variable decides on (as by "
            "`tf.random.normal`, `tf.nn.dropout`): a function that does so "
            "differs from itself, too."
        )
    return told


def _table(found: Sameness) -> list[str]:
    longest = max(len(printable(row.variable)) for row in found.rows)
    width = min(max(longest, len("variable")), 30)
    heads = ("float32", "cosine", "float64", "cosine")
    lines = [
        "Relative difference of the gradients, and cosine of their angle:",
        "",
        f"  {'variable':{width}}" + "".join(f"{head:>11}" for head in heads),
    ]
    for row in found.rows:
        name = printable(row.variable)
        name = name if len(name) <= width else f"…{name[1 - width :]}"
        mark = {True: " differs", None: " ?", False: ""}[row.differs]
        mark = " noise" if row.noise else mark
        lines.append(f"  {name:{width}}{_cells(row)}{mark}")
    return lines


def _cells(row: Row) -> str:
    cells = []
    for one in (row.float32, row.float64):
        cells += (
            ["-", "-"]
            if one is None
            else [f"{one.relative:.2g}", f"{one.cosine:.6f}"]
        )
    return "".join(f"{cell:>11}" for cell in cells)


def to_dict(found: Sameness) -> dict:
    """Returns the judgement as JSON has it."""
    return {
        "version": JSON_VERSION,
        "verdict": verdict(found),
        **json_value(dataclasses.asdict(found)),
        "precision": found.precision,
        "notes": notes(found),
    }
