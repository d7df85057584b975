"""Of rows that share a line the same one is drawn as in the page."""

import json
import subprocess

import numpy as np

from gradscope.drawing import merged_rows
from gradscope.drawing.grid import KIND_NAMES, Kind, make_grid

#: What the page's own modules draw of the same grids.
OF_THE_PAGE = """
import {readFileSync} from 'node:fs';
import {classify, KIND_NAMES}
  from './gradscope_plugin/static/data/cell_kinds.js';
import {entriesOf, kindOf}
  from './gradscope_plugin/static/heatmap/cell_entries.js';
import {leadOf, mergedLine}
  from './gradscope_plugin/static/heatmap/merged_rows.js';
import {makeScale} from './gradscope_plugin/static/scales/scale.js';
const numbersOf = (texts) => Float32Array.from(texts, Number);
const drawn = JSON.parse(readFileSync(0, 'utf8')).map((grid) => {
  const {columns, sizes, domain} = grid;
  const values = numbersOf(grid.values);
  const missing = numbersOf(grid.missing);
  const kinds = classify(values,
    {missing, ofGradient: true, zeroIsSpecial: true});
  const {position} = makeScale({scale: 'log', domain});
  const entries = entriesOf({values, kinds}, position);
  const rows = {from: 0, to: sizes.length};
  const lead = leadOf(entries, columns, rows, sizes);
  const line = [...mergedLine(entries, columns, rows, lead)];
  return {lead,
    cells: line.map((entry) => KIND_NAMES[kindOf(entry)] ?? entry)};
});
console.log(JSON.stringify(drawn));
"""

COLUMNS = 12

#: A value and its `gradient_missing`.
CELLS = {
    Kind.ABSENT: (np.nan, np.nan),
    Kind.MISSING: (np.nan, 1),
    Kind.ZERO: (0, 0),
    Kind.NAN: (np.nan, 0),
    Kind.INFINITE: (np.inf, 0),
}


def _grid(seed):
    """Return values, `gradient_missing` and sizes of rows, each of which is
    more or less of one kind, with numbers and other kinds between."""
    random = np.random.default_rng(seed)
    rows = int(random.integers(2, 6))
    values = (10 ** random.uniform(-11, 4, (COLUMNS, rows))).astype(np.float32)
    missing = np.zeros_like(values)
    shape = values.shape
    share = random.choice([0, 0, 0, 0.5, 0.9, 1], rows)
    usual = random.choice(Kind, rows)
    rest = np.where(
        random.random(shape) < 0.2, random.choice(Kind, shape), Kind.NUMBER
    )
    kinds = np.where(random.random(shape) < share, usual, rest)
    for kind, (value, flag) in CELLS.items():
        values[kinds == kind] = value
        missing[kinds == kind] = flag
    return values, missing, random.integers(0, 3, rows)


def _drawn(grid):
    """Return the lead, and what is drawn of each step as the page has it."""
    weights = merged_rows.weights_of(grid)
    lead = merged_rows.lead_of(weights, grid.sizes)
    at = np.arange(COLUMNS), merged_rows.drawn_rows(weights, lead)
    return {
        "lead": lead,
        "cells": list(map(_cell, grid.kinds[at], grid.positions[at])),
    }


def _cell(kind, position):
    """Return what a cell is drawn as: its kind, or the index of its colour."""
    if kind != Kind.NUMBER:
        return KIND_NAMES[kind]
    if position < 0:
        return "below the scale"
    return "above the scale" if position > 1 else round(255 * position)


def test_the_lead_and_its_cells_are_those_of_the_page():
    names = [str(row) for row in range(5)]
    ours, asked = [], []
    for seed in range(1000):
        values, missing, sizes = _grid(seed)
        grid = make_grid(
            "gradient_norm",
            names[: len(sizes)],
            np.arange(COLUMNS),
            values,
            missing=missing,
            sizes=sizes,
        )
        ours.append(_drawn(grid))
        asked.append(
            {
                "columns": COLUMNS,
                "sizes": sizes.tolist(),
                "domain": grid.scale.domain,
                # JSON has no NaN. The page has a row after the other.
                "values": _texts(values),
                "missing": _texts(missing),
            }
        )
    done = subprocess.run(
        ["node", "--input-type=module", "-e", OF_THE_PAGE],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
    )
    assert ours == json.loads(done.stdout)


def _texts(numbers):
    names = {"nan": "NaN", "inf": "Infinity"}
    return [
        names.get(repr(float(x)), repr(float(x))) for x in numbers.T.ravel()
    ]
