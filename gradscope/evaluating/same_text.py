"""Writes the result of `same` as text for a terminal and as JSON."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from gradscope.terminal import join_names, json_value, paragraph, printable

if TYPE_CHECKING:
    from gradscope.evaluating.same_result import Row, Sameness

#: Version of the JSON; rises when a field changes its meaning or goes away.
JSON_VERSION = 1


def verdict(sameness: Sameness) -> str:
    """State in one sentence whether two functions are the same."""
    count, by = len(sameness.rows), sameness.largest(sameness.precision)
    agree = (
        f"in {sameness.precision} the gradients of all {count} variables agree "
        f"to {by:.2g}"
    )
    if sameness.same:
        return f"The two are the same function: {agree}."
    if sameness.same is None:
        return (
            f"float32 cannot tell whether the two are the same function: their "
            f"gradients differ by up to {by:.2g}, which may be rounding."
        )
    way = "forward" if sameness.way == "forward" else "backward"
    where = f", in `{sameness.layer}`" if sameness.layer else ""
    return (
        f"The two are different functions: they part in the {way} pass{where}; "
        f"{sameness.place}."
    )


def text(sameness: Sameness) -> str:
    """Format the judgement as text, the verdict first."""
    parts = [paragraph(verdict(sameness), "")]
    for precision, (a, b) in sameness.losses.items():
        parts.append(f"  loss in {precision}: {a:.9g} and {b:.9g}")
    parts += ["", *_table(sameness)]
    if any(row.noise for row in sameness.rows):
        parts += [
            "",
            paragraph(
                "noise: a gradient that is negligible beside the largest one, "
                "such as that of a bias before a normalisation. Its true value "
                "is 0; what remains is rounding, so its difference says "
                "nothing."
            ),
        ]
    parts += [paragraph(note) for note in notes(sameness)]
    return "\n".join(parts)


def notes(sameness: Sameness) -> list[str]:
    """List remarks on the judgement, in sentences."""
    remarks = []
    if sameness.float64_problem:
        remarks.append(f"float64 is not available: {sameness.float64_problem}.")
    if sameness.moved:
        remarks.append(
            "The second function had other values in "
            f"{join_names(sameness.moved)}; it was evaluated with the values "
            "of the first."
        )
    only = sameness.only_a, sameness.only_b
    for names, which in zip(only, ("first", "second"), strict=True):
        if names:
            remarks.append(
                f"Only the {which} function has {join_names(names)}."
            )
    if any(sameness.random):
        remarks.append(
            "Some random numbers do not depend on any variable (as with "
            "`tf.random.normal` and `tf.nn.dropout`). A function that draws "
            "such numbers differs from itself, too."
        )
    return remarks


def _table(sameness: Sameness) -> list[str]:
    longest = max(len(printable(row.variable)) for row in sameness.rows)
    width = min(max(longest, len("variable")), 30)
    heads = ("float32", "cosine", "float64", "cosine")
    lines = [
        "Relative difference of the gradients, and cosine of their angle:",
        "",
        f"  {'variable':{width}}" + "".join(f"{head:>11}" for head in heads),
    ]
    for row in sameness.rows:
        name = printable(row.variable)
        name = name if len(name) <= width else f"…{name[1 - width :]}"
        mark = {True: " differs", None: " ?", False: ""}[row.differs]
        mark = " noise" if row.noise else mark
        lines.append(f"  {name:{width}}{_cells(row)}{mark}")
    return lines


def _cells(row: Row) -> str:
    cells = []
    for difference in (row.float32, row.float64):
        cells += (
            ["-", "-"]
            if difference is None
            else [f"{difference.relative:.2g}", f"{difference.cosine:.6f}"]
        )
    return "".join(f"{cell:>11}" for cell in cells)


def to_dict(sameness: Sameness) -> dict:
    """Convert the judgement to a dict for JSON."""
    return {
        "version": JSON_VERSION,
        "verdict": verdict(sameness),
        **json_value(dataclasses.asdict(sameness)),
        "precision": sameness.precision,
        "notes": notes(sameness),
    }
