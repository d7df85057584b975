import assert from 'node:assert/strict';
import test from 'node:test';

import {ABOVE, BELOW, INFINITE, NAN, NUMBER, ZERO}
  from '../../gradscope_plugin/static/data/cell_kinds.js';
import {MARKS, PATTERNS, SEQUENTIAL}
  from '../../gradscope_plugin/static/scales/colormap.js';
import {placeRows} from '../../gradscope_plugin/static/heatmap/row_places.js';
import {entriesOf, kindOf}
  from '../../gradscope_plugin/static/heatmap/cell_entries.js';
import {foldedLines, leadOf, mergedLine, pick}
  from '../../gradscope_plugin/static/heatmap/merged_rows.js';
import {edgesOf, hasInk, linesOf, paint, rowsOfPixel, tableOf}
  from '../../gradscope_plugin/static/heatmap/raster.js';

const position = (value) => value;
const table = tableOf(
  {palette: SEQUENTIAL, marks: MARKS.light, patterns: PATTERNS});
const N = NUMBER;

function painted(grid, {placed = null, span = null, heights = null, width,
  height, density = 1}) {
  const places = placed ?? {height: 1, total: grid.rows,
    blocks: [{from: 0, to: grid.rows, top: 0}]};
  const out = new Uint32Array(width * height);
  paint(out, {entries: entriesOf(grid, position), columns: grid.columns,
    placed: places, table, span: span ?? [0, grid.columns],
    heights: heights ?? [0, places.total], width, height, density, gap: 0});
  return [...out].map((pixel) =>
    [pixel & 255, pixel >> 8 & 255, pixel >> 16 & 255, pixel >>> 24]);
}

function gridOf(rows, values, kinds) {
  return {rows, columns: values.length / rows,
    values: Float32Array.from(values), kinds: Uint8Array.from(kinds)};
}

const [purple, yellow] = [[0x44, 0x01, 0x54, 255], [0xfd, 0xe7, 0x25, 255]];

test('numbers take the palette and the others their marks', () => {
  const grid = gridOf(1, [0, 0, 1], [ZERO, N, N]);
  assert.deepEqual(painted(grid, {width: 3, height: 1}),
    [[...MARKS.light[ZERO], 255], purple, yellow]);
});

test('zero, NaN, infinite, missing, below and above all look different', () => {
  const seen = new Set();
  const values = [0, NaN, Infinity, NaN, NaN, -1, 2, 0, 1];
  const kinds = [ZERO, NAN, INFINITE, 4, 5, N, N, N, N];
  const grid = gridOf(1, values, kinds);
  const size = 24;
  const pixels = painted(grid, {width: size * 9, height: size});
  for (let cell = 0; cell < 9; cell++) {
    const own = pixels.filter((_, i) =>
      Math.floor(i % (size * 9) / size) === cell);
    seen.add(JSON.stringify([...new Set(own.map(String))].sort()));
  }
  assert.equal(seen.size, 9);
});

test('a number beyond the scale has a kind of its own', () => {
  const grid = gridOf(1, [-0.1, 0, 0.5, 1, 1.1], [N, N, N, N, N]);
  assert.deepEqual([...entriesOf(grid, position)].map(kindOf),
    [BELOW, N, N, N, ABOVE]);
});

test('no abnormal cell is hidden where cells share a pixel', () => {
  const order = [[0.5, N], [0.1, N], [2, N], [0, ZERO], [NaN, NAN],
    [Infinity, INFINITE]];
  for (let i = 1; i < order.length; i++) {
    const grid = gridOf(1, [order[i - 1][0], order[i][0], 0.5],
      [order[i - 1][1], order[i][1], N]);
    const entries = entriesOf(grid, position);
    assert.equal(pick(entries, 3, {from: 0, to: 1}, 0, 3), 1);
  }
});

test('one NaN of a million is seen', () => {
  const values = new Float32Array(1e6).fill(0.5);
  values[654_321] = NaN;
  const kinds = Uint8Array.from(values, (v) => Number.isNaN(v) ? NAN : N);
  const pixels = painted({rows: 1000, columns: 1000, values, kinds},
    {width: 200, height: 100});
  const found = pixels.filter(([r, g, b]) => r > 200 && (g < 50 || b > 250));
  assert.equal(found.length, 1);
});

test('zoomed in, a cell is many pixels; the part that is not seen is not', () => {
  const grid = gridOf(2, [0, 1, 0.5, 0, 1, 0.5], [N, N, N, N, N, N]);
  const pixels = painted(grid,
    {span: [1, 2], heights: [0, 1], width: 4, height: 4});
  assert.ok(pixels.every((pixel) => String(pixel) === String(yellow)));
});

test('where a run has no step there is nothing', () => {
  const grid = gridOf(1, [0, 1], [N, N]);
  const out = new Uint32Array(8);
  paint(out, {entries: entriesOf(grid, position), columns: 2, table,
    placed: {height: 1, total: 1, blocks: [{from: 0, to: 1, top: 0}]},
    places: [2, 3, 6], span: [0, 8], heights: [0, 1], width: 8, height: 1,
    density: 1, gap: 0});
  const [first, last] = [table.colors[0], table.colors[255]];
  assert.deepEqual([...out], [0, 0, first, last, last, last, 0, 0]);
});

test('between groups there is nothing', () => {
  const placed = placeRows({rows: 2,
    groups: [{from: 0, to: 1}, {from: 1, to: 2}]});
  const height = placed.total;
  const lines = Array.from({length: height}, (_, y) =>
    rowsOfPixel(placed, [0, placed.total], y, height)?.from ?? null);
  assert.deepEqual(lines, [...Array(18).fill(0), ...Array(6).fill(null),
    ...Array(18).fill(1)]);
});

test('a folded block is one line for all of its rows', () => {
  const placed = placeRows({rows: 6, blocks: [{name: 'a', from: 0, to: 3},
    {name: 'b', from: 3, to: 6}]}, (name) => name === 'b');
  const lines = Array.from({length: placed.total}, (_, y) =>
    rowsOfPixel(placed, [0, placed.total], y, placed.total));
  assert.deepEqual(lines[0], {from: 0, to: 3});
  assert.deepEqual(lines.at(-1), {from: 5, to: 6});
  assert.ok(lines.includes(null), 'the name of the open block');
});

test('a folded block is the same row from the first column to the last', () => {
  // The extremes are now in the first row, now in the third.
  const values = [0.9, 0.1, 0.9, 0.1, 0.6, 0.6, 0.6, 0.6, 0.1, 0.9, 0.1, 0.9];
  const grid = gridOf(3, values, Array(12).fill(N));
  const entries = entriesOf(grid, position);
  const rows = {from: 0, to: 3};
  assert.equal(leadOf(entries, 4, rows, [1, 3, 2]), 1);
  assert.deepEqual([...mergedLine(entries, 4, rows, 1)],
    [...entries.subarray(4, 8)]);
  assert.equal(leadOf(entries, 4, rows), 0, 'of the same sizes the first');
});

test('in a folded block NaN of any row is seen, and a row that is dead', () => {
  const values = [0.5, 0.5, 0.5, 0.5, 0.6, NaN, 0.6, 0.6, 0, 0, 0, 0.2];
  const kinds = [N, N, N, N, N, NAN, N, N, ZERO, ZERO, ZERO, N];
  const entries = entriesOf(gridOf(3, values, kinds), position);
  const line = (to) => {
    const rows = {from: 0, to};
    const lead = leadOf(entries, 4, rows, [9, 1, 1]);
    return [...mergedLine(entries, 4, rows, lead)].map(kindOf);
  };
  assert.deepEqual(line(2), [N, NAN, N, N]);
  assert.deepEqual(line(3), [ZERO, NAN, ZERO, N]);
});

test('more rows than pixels share them, and none is left out', () => {
  const placed = {height: 1, total: 1000,
    blocks: [{from: 0, to: 1000, top: 0}]};
  const lines = Array.from({length: 300}, (_, y) =>
    rowsOfPixel(placed, [0, 1000], y, 300));
  assert.equal(lines[0].from, 0);
  assert.equal(lines.at(-1).to, 1000);
  lines.slice(1).forEach(({from}, i) => assert.ok(from <= lines[i].to));
});

test('columns are spread over the pixels', () => {
  assert.deepEqual([...edgesOf([0, 4], 4, [0, 1, 2, 3, 4])], [0, 1, 2, 3, 4]);
  assert.deepEqual([...edgesOf([0, 2], 4, [0, 1, 2, 3, 4])], [0, 0, 1, 1, 2]);
  // Long and short steps, and an axis that is longer on both sides.
  assert.deepEqual([...edgesOf([0, 8], 8, [2, 3, 6])],
    [-1, -1, 0, 1, 1, 1, 2, 2, 2]);
});

test('numbers within the scale have no pattern', () => {
  assert.ok(!hasInk(NUMBER, 2, 2) && !hasInk(ZERO, 2, 2));
});

test('each pixel shows the cell that is told at the cursor', () => {
  const [rows, columns, width, height] = [60, 70, 25, 40];
  const values = Float32Array.from({length: rows * columns},
    (_, i) => (i * 7919 % 1000) / 1000);
  const grid = {rows, columns, values, kinds: new Uint8Array(values.length)};
  const entries = entriesOf(grid, position);
  const placed = placeRows({rows, blocks: [{name: 'a', from: 0, to: 20},
    {name: 'b', from: 20, to: 60}]}, (name) => name === 'b');
  const heights = [0, placed.total];
  const sizes = Array.from({length: rows}, (_, row) => row * 7 % 11);
  const folded = foldedLines(entries, columns, placed, sizes);
  const what = {entries, columns, placed, table, span: [3, 66], heights, width,
    height, density: 1, gap: 0, folded, sizes};
  const out = new Uint32Array(width * height);
  paint(out, {...what, lines: linesOf(what)});
  const edges = edgesOf([3, 66], width,
    Array.from({length: columns + 1}, (_, i) => i));
  for (let y = 0; y < height; y++) {
    const found = rowsOfPixel(placed, heights, y, height);
    for (let x = 0; x < width && found; x++) {
      const cell = pick(entries, columns, found, edges[x],
        Math.max(edges[x] + 1, edges[x + 1]), sizes);
      assert.equal(out[y * width + x], table.colors[entries[cell]]);
    }
  }
});
