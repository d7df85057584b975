"""A comparison as text for a terminal, and as JSON for programs."""

from __future__ import annotations

import json
import math
import pathlib
from typing import TYPE_CHECKING

import numpy as np

from gradscope.comparing.difference import NORMS
from gradscope.comparing.summaries import layer_rows, variable_rows
from gradscope.terminal import join_names, json_value, paragraph, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gradscope.comparing.comparison import Comparison


#: Version of the JSON; rises when a field changes its meaning or goes away.
JSON_VERSION = 1

#: The most layers and the most settings that the text lists.
MOST = 40


def verdict(comparison: Comparison) -> str:
    """State in one sentence whether two runs are the same."""
    count = len(comparison.steps)
    steps = f"{count} common step{'' if count == 1 else 's'}"
    if not comparison.variables:
        return "The two runs have no variable in common."
    if not count:
        return (
            "The two runs have no step in common: the first recorded "
            f"{_extent(comparison.steps_a)}, and the second "
            f"{_extent(comparison.steps_b)}."
        )
    if comparison.same_bits:
        return f"The two runs are the same bit for bit in {steps}."
    if comparison.same:
        return (
            f"The two runs are the same within {comparison.tolerance:g} in "
            f"{steps}, but their bits differ from step "
            f"{comparison.differs_from} on."
        )
    parting = comparison.parting
    return (
        f"The two runs part at step {parting.step}, first in layer "
        f"`{parting.layer}`: {parting.cause}."
    )


def text(comparison: Comparison) -> str:
    """Format a comparison as text, the verdict first."""
    parts = [paragraph(verdict(comparison), "")]
    if comparison.parting is not None:
        parts.append(paragraph(_evidence(comparison)))
    if comparison.comparable:
        parts.append(paragraph(_before(comparison)))
        parts += ["", *_table(comparison)]
    parts += ["", *_settings(comparison)]
    only = comparison.only_a, comparison.only_b
    for run, names in zip(_names(comparison), only, strict=True):
        if names:
            parts.append(paragraph(f"Only in {run}: {_list(names)}"))
    if comparison.matched_by == "order":
        pairs = [f"`{a}` = `{b}`" for a, b in comparison.names]
        parts.append(
            paragraph(
                "The names of the variables do not match, so variables are "
                f"paired by forward order and shape: {join_names(pairs)}"
            )
        )
    parts += [paragraph(note) for note in comparison.notes]
    return "\n".join(parts)


def _names(comparison: Comparison) -> tuple[str, str]:
    """Shorten the names of both runs by the directories that they share."""
    if comparison.run_a == comparison.run_b:
        return "the first run", "the second run"
    a, b = (
        pathlib.PurePath(run).parts
        for run in (comparison.run_a, comparison.run_b)
    )
    # A part of each stays, also where one directory is inside of the other.
    while len(a) > 1 and len(b) > 1 and a[0] == b[0]:
        a, b = a[1:], b[1:]
    return "/".join(a), "/".join(b)


def _list(names: Iterable[str]) -> str:
    return join_names(f"`{name}`" for name in names)


def _evidence(comparison: Comparison) -> str:
    parting = comparison.parting
    words = parting.statistic.replace("_", " ")
    run_a, run_b = _names(comparison)
    return (
        f"The {words} of `{parting.variable}` is {parting.a:.6g} in {run_a} "
        f"and {parting.b:.6g} in {run_b}. At that step, {parting.differing} of "
        f"{len(comparison.variables)} variables differ by more than "
        f"{comparison.tolerance:g}."
    )


def _before(comparison: Comparison) -> str:
    parting, first = comparison.parting, comparison.differs_from
    if first is None:
        return "All recorded numbers of all variables are equal."
    if parting is not None and first == parting.step:
        before = int(np.sum(comparison.steps < first))
        return (
            "Before that step, all recorded numbers are equal bit for bit "
            f"({before} common step{'' if before == 1 else 's'})."
            if before
            else "It is the first step that both runs recorded."
        )
    until = math.inf if parting is None else parting.step
    most = _largest(comparison, comparison.steps < until)
    return (
        f"The bits differ from step {first} on, by at most {most:.2g}"
        + (" until the runs part" if parting is not None else "")
        + " (apart from noise), as they do when sums are added up in a "
        "different order."
    )


def _largest(comparison: Comparison, steps) -> float:
    differences = comparison["gradient_norm"]
    differences = np.where(comparison.noise, np.nan, differences)[steps]
    return float(np.nanmax(differences, initial=0.0))


def _table(comparison: Comparison) -> list[str]:
    """Format the tables of layers."""
    # The statistics of each layer take time, and the text lists `MOST` only.
    rows = layer_rows(comparison, MOST)
    more = len(comparison.layers) - len(rows)
    lines = [
        f"Relative difference of norms, median of {len(comparison.steps)} "
        "steps (largest in brackets):",
        "",
        *_columns(rows, {n: n.partition("_")[0] for n in NORMS}, more),
    ]
    if len(comparison.sketched_steps):
        count = len(comparison.sketched_steps)
        lines += [
            "",
            paragraph(
                "Relative difference of the gradients themselves, |a - b| "
                "divided by the larger norm: median of "
                f"{count} step{'' if count == 1 else 's'} with histograms "
                "(largest in brackets), estimated to within a quarter. Two "
                "unrelated gradients differ by 1.4.",
                "",
            ),
            "",
            *_columns(rows, {"gradient": "gradient"}, more),
        ]
    if any("noise" in line.split() for line in lines[3:]):
        lines += [
            "",
            paragraph(
                "noise: a gradient below 1e-4 of the largest, such as that of "
                "a bias before a normalisation layer. Its true value may be "
                "0, so its difference says nothing."
            ),
        ]
    return lines


def _columns(rows: list[dict], columns: dict[str, str], more: int) -> list[str]:
    """Format a table with a head, a line for each layer, and the number of
    layers that it leaves out."""
    longest = max(len(printable(row["layer"])) for row in rows)
    # The indentation of two and three columns of 18 leave 24 of 80 characters
    # to the name.
    width = min(max(longest, len("layer")), 24)
    heads = "".join(f"{head:>18}" for head in columns.values())
    lines = [f"  {'layer':{width}}{heads}"]
    for row in rows:
        name = printable(row["layer"])
        name = name if len(name) <= width else f"…{name[1 - width :]}"
        cells = "".join(f"{_cell(row, column):>18}" for column in columns)
        lines.append(f"  {name:{width}}{cells}")
    if more:
        lines.append(f"  and {more} more layers (--json lists all)")
    return lines


def _cell(row: dict, norm: str) -> str:
    middle, most = row[norm]["median"], row[norm]["largest"]
    if middle is None:
        return "-"
    # Only a gradient is noise, and the update that is made of it. The weight
    # has a size of its own.
    if row["noise"] and most and norm != "weight_norm":
        return "noise"
    return f"{_number(middle)} ({_number(most)})"


def _number(value: float) -> str:
    return "0" if value == 0 else f"{value:.2g}"


def _settings(comparison: Comparison) -> list[str]:
    if not comparison.configuration:
        return ["Their recorded configurations are the same."]
    lines = ["Their configurations differ:", ""]
    run_a, run_b = _names(comparison)
    for setting in comparison.configuration[:MOST]:
        place = setting.where
        place = place if place in ("optimizer", "loss") else f"`{place}`"
        lines.append(
            paragraph(
                f"{place}: {setting.what} is {_value(setting.a)} in {run_a} "
                f"and {_value(setting.b)} in {run_b}"
            )
        )
    if len(comparison.configuration) > MOST:
        more = len(comparison.configuration) - MOST
        lines.append(f"  and {more} more settings (--json lists all)")
    return lines


def _value(value) -> str:
    text = "none" if value is None else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _extent(steps: tuple[int, int, int]) -> str:
    first, last, count = steps
    steps = f"{count} step{'' if count == 1 else 's'}"
    return f"{steps} from step {first} to step {last}"


def to_dict(comparison: Comparison) -> dict:
    """Convert a comparison to the dict that `--json` prints."""
    steps = comparison.steps.tolist()
    parting = comparison.parting
    return {
        "version": JSON_VERSION,
        "runs": [comparison.run_a, comparison.run_b],
        "verdict": verdict(comparison),
        "same": comparison.same,
        "same_bits": comparison.same_bits,
        "tolerance": comparison.tolerance,
        "steps": {
            "common": len(steps),
            "first": steps[0] if steps else None,
            "last": steps[-1] if steps else None,
            "a": list(comparison.steps_a),
            "b": list(comparison.steps_b),
        },
        "sketched_steps": len(comparison.sketched_steps),
        "differs_from": comparison.differs_from,
        "parting": None if parting is None else json_value(vars(parting)),
        "matched_by": comparison.matched_by,
        "layers": layer_rows(comparison),
        "variables": variable_rows(comparison),
        "configuration": [
            json_value(vars(setting)) for setting in comparison.configuration
        ],
        "only": [list(comparison.only_a), list(comparison.only_b)],
        "notes": list(comparison.notes),
    }


def to_json(comparison: Comparison) -> str:
    """Format a comparison as the JSON that `--json` prints."""
    return json.dumps(to_dict(comparison), indent=1, allow_nan=False)
