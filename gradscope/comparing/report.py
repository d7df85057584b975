"""A comparison as text for a terminal, and as JSON for programs."""

from __future__ import annotations

import json
import math
import pathlib
import warnings
from typing import TYPE_CHECKING

import numpy as np

from gradscope.comparing.difference import NORMS
from gradscope.terminal import join_names, json_value, paragraph, printable

if TYPE_CHECKING:
    from gradscope.comparing.comparison import Comparison

#: Of `--json`; goes up when a field changes its meaning or goes away.
JSON_VERSION = 1

#: Layers, settings and names that the text has at most.
MOST = 40


def verdict(found: Comparison) -> str:
    """Returns in one sentence whether two runs are the same."""
    count = len(found.steps)
    steps = f"{count} common step{'' if count == 1 else 's'}"
    if not found.variables:
        return "The two runs have no variable in common."
    if not count:
        return (
            f"The two runs have no step in common: {_extent(found.steps_a)} "
            f"in one, {_extent(found.steps_b)} in the other."
        )
    if found.same_bits:
        return f"The two runs are the same bit for bit in {steps}."
    if found.same:
        return (
            f"The two runs are the same within {found.tolerance:g} in {steps}; "
            f"their bits differ from step {found.differs_from} on."
        )
    part = found.parting
    return (
        f"They part in step {part.step}, first in layer {part.layer}: "
        f"{part.cause}."
    )


def text(found: Comparison) -> str:
    """Returns a comparison for people, the verdict first."""
    parts = [paragraph(verdict(found), "")]
    if found.parting is not None:
        parts.append(paragraph(_evidence(found)))
    if found.comparable:
        parts.append(paragraph(_before(found)))
        parts += ["", *_table(found)]
    parts += ["", *_settings(found)]
    only = found.only_a, found.only_b
    for run, names in zip(_names(found), only, strict=True):
        if names:
            parts.append(paragraph(f"Only in {run}: {join_names(names)}"))
    if found.matched_by == "order":
        pairs = [f"{a} = {b}" for a, b in found.names]
        parts.append(
            paragraph(
                "Names do not tell which variables belong together; forward "
                f"order and shapes do: {join_names(pairs)}"
            )
        )
    parts += [paragraph(note) for note in found.notes]
    return "\n".join(parts)


def _names(found: Comparison) -> tuple[str, str]:
    """Returns the names of the runs without the directories of both."""
    a, b = (pathlib.PurePath(run).parts for run in (found.run_a, found.run_b))
    while len(a) > 1 and len(b) > 1 and a[0] == b[0]:
        a, b = a[1:], b[1:]
    return "/".join(a), "/".join(b)


def _evidence(found: Comparison) -> str:
    part = found.parting
    words = part.statistic.replace("_", " ")
    run_a, run_b = _names(found)
    return (
        f"{words} of {part.variable}: {part.a:.6g} in {run_a}, "
        f"{part.b:.6g} in {run_b}; in that step {part.differing} of "
        f"{len(found.variables)} variables differ by more than "
        f"{found.tolerance:g}"
    )


def _before(found: Comparison) -> str:
    part, first = found.parting, found.differs_from
    if first is None:
        return "All recorded numbers of all variables are equal."
    if part is not None and first == part.step:
        before = int(np.sum(found.steps < first))
        return (
            f"Before it all numbers of {before} common steps are equal bit for "
            "bit."
            if before
            else "It is the first step that both recorded."
        )
    until = math.inf if part is None else part.step
    most = _largest(found, found.steps < until)
    return (
        f"The bits differ from step {first} on, by {most:.2g} at most"
        + (" until then" if part is not None else "")
        + ", as sums in another order do (noise apart)."
    )


def _largest(found: Comparison, steps) -> float:
    known = np.where(found.noise, np.nan, found["gradient_norm"])[steps]
    return float(np.nanmax(known, initial=0.0))


def _table(found: Comparison) -> list[str]:
    """Returns the lines of the tables of layers."""
    # Of 20,000 layers all would take minutes.
    rows = layer_rows(found, MOST)
    more = len(found.layers) - len(rows)
    lines = [
        f"Relative difference of norms, median of {len(found.steps)} steps "
        "(largest):",
        "",
        *_columns(rows, {n: n.partition("_")[0] for n in NORMS}, more),
    ]
    if len(found.sketched_steps):
        count = len(found.sketched_steps)
        lines += [
            "",
            paragraph(
                "Of the gradients themselves, |a - b| over the longer one, "
                f"median of {count} step{'' if count == 1 else 's'} with "
                "histograms (largest), estimated within a quarter; 1.4 is what "
                "two gradients differ by that have nothing in common:",
                "",
            ),
            "",
            *_columns(rows, {"gradient": "gradient"}, more),
        ]
    if any("noise" in line.split() for line in lines[3:]):
        lines += [
            "",
            paragraph(
                "noise: a gradient below 1e-4 of the largest, as of a bias "
                "before a norm; its true value may be 0, and its difference "
                "says nothing."
            ),
        ]
    return lines


def _columns(rows: list[dict], columns: dict[str, str], more: int) -> list[str]:
    """Returns a table: its head, and a line for each layer, and one that says
    how many more there are."""
    longest = max(len(printable(row["layer"])) for row in rows)
    width = min(max(longest, len("layer")), 24)
    heads = "".join(f"{head:>18}" for head in columns.values())
    lines = [f"  {'layer':{width}}{heads}"]
    for row in rows:
        name = printable(row["layer"])
        name = name if len(name) <= width else f"…{name[1 - width :]}"
        cells = "".join(f"{_cell(row, column):>18}" for column in columns)
        lines.append(f"  {name:{width}}{cells}")
    if more:
        lines.append(f"  and {more} more layers (--json has all)")
    return lines


def _cell(row: dict, norm: str) -> str:
    middle, most = row[norm]["median"], row[norm]["largest"]
    if middle is None:
        return "-"
    if row["noise"] and most and norm != "weight_norm":
        return "noise"
    return f"{_number(middle)} ({_number(most)})"


def _number(value: float) -> str:
    return "0" if value == 0 else f"{value:.2g}"


def layer_rows(found: Comparison, most: int | None = None) -> list[dict]:
    """Returns median and largest relative difference of each layer's norms, of
    the first layers or of all."""
    owners: dict[str, list[int]] = {}
    for row, variable in enumerate(found.a.schema.variables):
        owners.setdefault(variable.layer, []).append(row)
    quiet = found.noise
    differences = {norm: found.by_layer(norm) for norm in NORMS}
    differences["gradient"] = found.gradients_by_layer
    return [
        {
            "layer": layer,
            "noise": _mostly(quiet[:, owners[layer]].all(axis=1)),
            **{
                norm: _summary(values[:, index])
                for norm, values in differences.items()
            },
        }
        for index, layer in enumerate(found.layers[:most])
    ]


def variable_rows(found: Comparison) -> list[dict]:
    """Returns the same of each variable, with its name in both runs."""
    quiet = found.noise
    differences = {norm: found[norm] for norm in NORMS}
    differences["gradient"] = found.gradients
    return [
        {
            "variable": name,
            "variable_b": name_b,
            "noise": _mostly(quiet[:, index]),
            **{
                norm: _summary(values[:, index])
                for norm, values in differences.items()
            },
        }
        for index, (name, name_b) in enumerate(found.names)
    ]


def _mostly(values) -> bool:
    return bool(len(values) and np.mean(values) > 0.5)


def _summary(values) -> dict:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a column that is all NaN
        median, largest = np.nanmedian(values), np.nanmax(values, initial=-1)
    known = np.isfinite(median)
    return {
        "median": float(median) if known else None,
        "largest": float(largest) if known else None,
    }


def _settings(found: Comparison) -> list[str]:
    if not found.configuration:
        return ["What is known of their configuration is the same."]
    lines = ["Their configuration differs:", ""]
    for one in found.configuration[:MOST]:
        values = f"{_value(one.a)} against {_value(one.b)}"
        lines.append(paragraph(f"{one.where}: {one.what} is {values}"))
    if len(found.configuration) > MOST:
        more = len(found.configuration) - MOST
        lines.append(f"  and {more} more settings (--json has all)")
    return lines


def _value(value) -> str:
    text = "none" if value is None else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _extent(steps: tuple[int, int, int]) -> str:
    first, last, count = steps
    return f"{count} of the steps {first} to {last}"


def to_dict(found: Comparison) -> dict:
    """Returns what `--json` prints."""
    part = found.parting
    return {
        "version": JSON_VERSION,
        "runs": [found.run_a, found.run_b],
        "verdict": verdict(found),
        "same": found.same,
        "same_bits": found.same_bits,
        "tolerance": found.tolerance,
        "steps": {
            "common": len(found.steps),
            "first": int(found.steps[0]) if len(found.steps) else None,
            "last": int(found.steps[-1]) if len(found.steps) else None,
            "a": list(found.steps_a),
            "b": list(found.steps_b),
        },
        "sketched_steps": len(found.sketched_steps),
        "differs_from": found.differs_from,
        "parting": None if part is None else json_value(vars(part)),
        "matched_by": found.matched_by,
        "layers": layer_rows(found),
        "variables": variable_rows(found),
        "configuration": [json_value(vars(one)) for one in found.configuration],
        "only": [list(found.only_a), list(found.only_b)],
        "notes": list(found.notes),
    }


def to_json(found: Comparison) -> str:
    """Returns the text of `--json`."""
    return json.dumps(to_dict(found), indent=1, allow_nan=False)
