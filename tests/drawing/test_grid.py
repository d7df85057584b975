"""What a cell is, its place on its scale, and its colour, as in the page."""

import json
import struct
import subprocess
import zlib

import numpy as np
import pytest
import runs

import gradscope
from gradscope.drawing import palette, png
from gradscope.drawing.grid import KIND_NAMES, Kind, Scale, make_grid

#: What the page's own modules make of the same scales and numbers.
OF_THE_PAGE = """
import {SEQUENTIAL, TWO_SIDED, MARKS, entryOf}
  from './gradscope_plugin/static/scales/colormap.js';
import {makeScale} from './gradscope_plugin/static/scales/scale.js';
import {classify, KIND_NAMES}
  from './gradscope_plugin/static/data/cell_kinds.js';
const log = makeScale({scale: 'log', domain: [1e-8, 10]});
const centered = makeScale({scale: 'log', domain: [1e-6, 1], center: 1e-3});
const linear = makeScale({scale: 'linear', domain: [0, 2]});
const numbers = [1e-9, 1e-8, 3e-5, 0.001, 0.02, 1, 10, 50];
const cells = new Float32Array([1, 0, NaN, Infinity, NaN, NaN]);
const missing = new Float32Array([0, 0, 0, 0, 1, NaN]);
const namesOf = (ofGradient, optional) =>
  [...classify(cells, {missing, ofGradient, optional, zeroIsSpecial: true})]
    .map((kind) => KIND_NAMES[kind] ?? 'a number');
console.log(JSON.stringify({
  tables: [SEQUENTIAL, TWO_SIDED].map((table) => Array.from(table)),
  marks: Object.values(MARKS.light),
  positions: [log, centered, linear].map(({position}) =>
    numbers.map(position)),
  entries: numbers.map((number) => entryOf(log.position(number))),
  kinds: [namesOf(true, false), namesOf(false, false), namesOf(true, true)],
}));
"""


@pytest.fixture(scope="module")
def of_the_page():
    done = subprocess.run(
        ["node", "--input-type=module", "-e", OF_THE_PAGE],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


NUMBERS = np.array([1e-9, 1e-8, 3e-5, 0.001, 0.02, 1, 10, 50])
LOG = Scale(True, (1e-8, 10))


def test_colours_are_those_of_the_page(of_the_page):
    tables = [palette.SEQUENTIAL, palette.TWO_SIDED]
    assert [t.ravel().tolist() for t in tables] == of_the_page["tables"]
    marks = sorted(map(list, palette.MARKS.values()))
    # A dead unit is black, too.
    assert sorted([*marks, [0, 0, 0]]) == sorted(of_the_page["marks"])
    kinds = np.zeros(len(NUMBERS)) + Kind.NUMBER
    colors = palette.colors_of(LOG.positions(NUMBERS), kinds)
    expected = palette.SEQUENTIAL[of_the_page["entries"]]
    np.testing.assert_array_equal(colors, expected)


def test_positions_are_those_of_the_page(of_the_page):
    scales = [LOG, Scale(True, (1e-6, 1), 1e-3), Scale(False, (0, 2))]
    for scale, expected in zip(scales, of_the_page["positions"], strict=True):
        np.testing.assert_allclose(scale.positions(NUMBERS), expected)
    assert scales[1].positions(1e-3) == 0.5


def grid_of(values, statistic="gradient_norm", **more):
    values = np.array(values, np.float32)
    names = [f"layer_{number}" for number in range(values.shape[1])]
    return make_grid(statistic, names, np.arange(len(values)), values, **more)


def test_a_cell_without_a_number_says_why_as_in_the_page(of_the_page):
    nan = np.nan
    values = [[1, 0, nan, np.inf, nan, nan]]
    missing = np.array([[0, 0, 0, 0, 1, nan]], np.float32)
    (kinds,) = grid_of(values, missing=missing).kinds.tolist()
    assert kinds[:3] == [Kind.NUMBER, Kind.ZERO, Kind.NAN]
    assert kinds[3:] == [Kind.INFINITE, Kind.MISSING, Kind.ABSENT]
    # The last one is recorded only where the optimizer clips.
    statistics = "gradient_norm", "weight_norm", "clipped_gradient_norm"
    for statistic, expected in zip(
        statistics, of_the_page["kinds"], strict=True
    ):
        (kinds,) = grid_of(values, statistic, missing=missing).kinds.tolist()
        assert [KIND_NAMES.get(kind, "a number") for kind in kinds] == expected
    # A share of zero is a number as any other.
    shares = grid_of([[0, 1]], "zero_fraction")
    assert shares.kinds.tolist() == [[Kind.NUMBER, Kind.NUMBER]]
    assert not shares.scale.is_log and shares.scale.domain == (0, 1)


def test_what_nothing_is_declared_of_has_the_scale_of_its_numbers():
    grid = grid_of([[0.03], [4]], "later_statistic")
    assert grid.scale.is_log and grid.scale.domain == (0.01, 10)
    assert grid.label == "later statistic"
    assert grid_of([[-1], [3]], "later").scale.domain == (-1, 3)
    assert grid_of([[np.nan]], "later").scale.domain == (0, 1)


@pytest.mark.parametrize("domain", [(1, 1), (0, 1), (-1, 1), (1, np.nan)])
def test_ends_that_are_none_are_refused(domain):
    with pytest.raises(ValueError, match="two numbers above 0, the smaller"):
        grid_of([[1]], domain=domain)


def test_a_record_gives_layers_variables_and_other_rows(tmp_path):
    runs.layered(tmp_path, steps=160)
    record = gradscope.read(tmp_path / "layered")
    assert record.grid("gradient_norm").names == record.layers
    grid = record.grid("gradient_norm", rows="variables")
    assert grid.names == record.variables
    assert record.grid("dead_fraction").names == record.activations
    assert record.grid("loss").names == ("run",)
    with pytest.raises(ValueError, match="'layers' or 'variables'; got 'x'"):
        record.grid("gradient_norm", rows="x")


def test_a_picture_is_a_png_file():
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    file = png.png(pixels)
    assert file[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">2I", file[16:24]) == (3, 2)
    start = file.index(b"IDAT") + 4
    length = struct.unpack(">I", file[start - 8 : start - 4])[0]
    lines = zlib.decompress(file[start : start + length])
    assert lines == b"\0" + bytes(range(9)) + b"\0" + bytes(range(9, 18))
