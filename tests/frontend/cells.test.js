import assert from 'node:assert/strict';
import test from 'node:test';

import {ABSENT, INFINITE, MISSING, NAN, NUMBER, ZERO, classify, outside, thin}
  from '../../gradscope_plugin/static/cells.js';

const LOG = {missing: null, ofGradient: true, zeroIsSpecial: true};

test('zero, NaN and infinity are kinds of their own', () => {
  const values = Float32Array.of(1, 0, -0, NaN, Infinity, -Infinity, 1e-45);
  assert.deepEqual([...classify(values, LOG)],
    [NUMBER, ZERO, ZERO, NAN, INFINITE, INFINITE, NUMBER]);
});

test('on a linear scale zero is a number', () => {
  const kinds = classify(Float32Array.of(0), {...LOG, zeroIsSpecial: false});
  assert.deepEqual([...kinds], [NUMBER]);
});

test('gradient_missing tells why there is no number', () => {
  const values = Float32Array.of(NaN, NaN, NaN, 1);
  const missing = Float32Array.of(0, 1, NaN, 0);
  assert.deepEqual([...classify(values, {...LOG, missing})],
    [NAN, MISSING, ABSENT, NUMBER]);
  const ofWeight = {...LOG, missing, ofGradient: false};
  assert.deepEqual([...classify(values, ofWeight)], [NAN, NAN, ABSENT, NUMBER]);
});

test('where a statistic is optional, a NaN says that there is none', () => {
  const values = Float32Array.of(NaN, NaN, 1);
  const missing = Float32Array.of(0, 1, 0);
  assert.deepEqual([...classify(values, {...LOG, missing, optional: true})],
    [ABSENT, MISSING, NUMBER]);
});

function grid(rows, values) {
  const numbers = Float32Array.from(values);
  return {rows, columns: numbers.length / rows, values: numbers,
    kinds: classify(numbers, LOG)};
}

const position = (value) => value;

test('with room for all columns each is drawn', () => {
  const chosen = thin(grid(2, [1, 2, 3, 4, 5, 6]), 100, position);
  assert.equal(chosen.bins, 3);
  assert.deepEqual([...chosen.source], [0, 1, 2, 0, 1, 2]);
});

test('no abnormal cell is hidden when columns share a pixel', () => {
  const chosen = thin(grid(5, [
    0.5, NaN, 0.5, 0.5,
    0.5, 0, NaN, 0.5,
    0, NaN, Infinity, 0.5,
    0.5, 0.4, 0.9, 0.6,
    0.5, 0.5, 0, 0.9,
  ]), 1, position);
  assert.equal(chosen.bins, 1);
  assert.deepEqual([...chosen.source], [1, 2, 2, 2, 2]);
});

test('every column belongs to exactly one pixel', () => {
  for (const [columns, pixels] of [[5000, 971], [10, 3], [7, 7], [8, 7]]) {
    for (const column of [0, 1, Math.floor(columns / 2), columns - 1]) {
      const values = new Float32Array(columns).fill(0.5);
      values[column] = NaN;
      const {source} = thin(grid(1, values), pixels, position);
      assert.equal(source.filter((chosen) => chosen === column).length, 1);
    }
  }
});

test('an empty grid has nothing to draw', () => {
  assert.equal(thin(grid(1, []), 10, position).bins, 0);
});

test('numbers outside the scale are counted, marks are not', () => {
  const grids = [grid(1, [1, 5, 10, 0, NaN]), grid(1, [0.5, Infinity])];
  assert.deepEqual(outside(grids, {kind: 'log', domain: [1, 9]}),
    {below: 1, above: 1, numbers: 4});
});

test('a zero is not called below a log scale, as it is below each', () => {
  const zero = {values: Float32Array.of(0), kinds: Uint8Array.of(NUMBER)};
  const below = (kind) => outside([zero], {kind, domain: [1, 9]}).below;
  assert.deepEqual([below('log'), below('linear')], [0, 1]);
});
