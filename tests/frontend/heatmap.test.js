import assert from 'node:assert/strict';
import test from 'node:test';

import {INFINITE, NAN, NUMBER, ZERO, thin}
  from '../../gradscope_plugin/static/cells.js';
import {MARKS, SEQUENTIAL} from '../../gradscope_plugin/static/colormap.js';
import {spans, toPixels} from '../../gradscope_plugin/static/heatmap.js';

const look = {position: (value) => value, palette: SEQUENTIAL,
  marks: MARKS.light};
const grid = {rows: 2, columns: 3,
  values: Float32Array.of(0, 1, NaN, Infinity, -5, 5),
  kinds: Uint8Array.of(ZERO, NUMBER, NAN, INFINITE, NUMBER, NUMBER)};
const pixel = (rgba, index) => [...rgba.subarray(4 * index, 4 * index + 4)];

test('numbers take the palette, clamped, and the others their marks', () => {
  const rgba = toPixels(grid, thin(grid, 3, look.position), look);
  const [purple, yellow] = [[0x44, 0x01, 0x54, 255], [0xfd, 0xe7, 0x25, 255]];
  assert.deepEqual(pixel(rgba, 0), [...MARKS.light[ZERO], 255]);
  assert.deepEqual(pixel(rgba, 1), yellow);
  assert.deepEqual(pixel(rgba, 2), [...MARKS.light[NAN], 255]);
  assert.deepEqual(pixel(rgba, 3), [...MARKS.light[INFINITE], 255]);
  assert.deepEqual(pixel(rgba, 4), purple);
  assert.deepEqual(pixel(rgba, 5), yellow);
});

test('a shared pixel takes the colour of the chosen cell', () => {
  const rgba = toPixels(grid, {bins: 1, source: Int32Array.of(2, 0)}, look);
  assert.equal(rgba.length, 8);
  assert.deepEqual(pixel(rgba, 0), [...MARKS.light[NAN], 255]);
  assert.deepEqual(pixel(rgba, 1), [...MARKS.light[INFINITE], 255]);
});

test('a grid with too few values is refused', () => {
  const wrong = {...grid, rows: 3};
  assert.throws(() => toPixels(wrong, {bins: 0, source: []}, look),
    /3 x 3 grid got 6 values/);
});

test('spans join neighbours of one kind within a row', () => {
  const kinds = Uint8Array.of(NAN, NAN, NUMBER, NAN, NUMBER, NUMBER, NAN, NAN);
  const wide = {rows: 2, columns: 4, kinds, values: new Float32Array(8)};
  const chosen = thin(wide, 4, look.position);
  assert.deepEqual(spans(wide, chosen, NAN), [
    {row: 0, from: 0, to: 2}, {row: 0, from: 3, to: 4},
    {row: 1, from: 2, to: 4},
  ]);
});
