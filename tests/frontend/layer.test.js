import assert from 'node:assert/strict';
import test from 'node:test';

import {ZERO, bucketText, decadesIn, edgeOf, rangeOf, rowsShown}
  from '../../gradscope_plugin/static/layer/buckets.js';
import {textOf} from '../../gradscope_plugin/static/layer/facts.js';
import {profileOf} from '../../gradscope_plugin/static/heatmap/depth_profile.js';
import {byLastActivity, reordered}
  from '../../gradscope_plugin/static/layer/unit_order.js';

test('buckets are half octaves', () => {
  assert.equal(edgeOf(96), 1);
  assert.equal(edgeOf(97), 1.5);
  assert.equal(edgeOf(95), 0.75);
  assert.equal(bucketText(ZERO), 'exactly zero');
  assert.equal(bucketText(ZERO + 1 + 96), '1e+0 to 1.5e+0');
  assert.equal(bucketText(ZERO - 1 - 96), '−1e+0 to −1.5e+0');
});

function histogram(used) {
  const values = new Float32Array(257);
  used.forEach((row) => { values[row] = 1; });
  return {columns: 1, values};
}

test('the axis follows the data, the same for both signs', () => {
  const range = rangeOf(histogram([ZERO, ZERO + 1 + 90, ZERO - 1 - 92]));
  assert.deepEqual(range, {low: 90, high: 93});
  assert.deepEqual(rowsShown(range), [ZERO + 93, ZERO + 92, ZERO + 91, ZERO,
    ZERO - 91, ZERO - 92, ZERO - 93]);
  assert.equal(rangeOf(histogram([ZERO])), null);
  assert.deepEqual(rowsShown(null), [ZERO]);
});

test('powers of ten are where they are among the buckets', () => {
  const [one] = decadesIn({low: 95, high: 99});
  assert.equal(one.exponent, 0);
  assert.ok(Math.abs(one.place - 1) < 1e-9);
});

test('units that were silent first come first', () => {
  const silence = {fired: Float32Array.of(1, 9, 1, 3, NaN, NaN)};
  const order = byLastActivity({rows: 3, columns: 2}, silence);
  assert.deepEqual(order, [2, 1, 0]);
  const grid = {rows: 3, columns: 2, values: Float32Array.of(1, 2, 3, 4, 5, 6),
    kinds: new Uint8Array(6), named: ['a', 'b', 'c']};
  assert.deepEqual([...reordered(grid, order).values], [5, 6, 3, 4, 1, 2]);
  assert.deepEqual(byLastActivity({rows: 2, columns: 1}, null), [0, 1]);
});

test('a configuration is told shortly', () => {
  assert.equal(textOf({class_name: 'HeNormal', config: {seed: null}}),
    'HeNormal');
  assert.equal(textOf({class_name: 'L2', config: {l2: 0.01}}), 'L2(l2=0.01)');
  assert.equal(textOf([2, 2]), '[2,2]');
  assert.equal(textOf(true), 'true');
});

const grid = (names, values) => ({rows: names.length, columns: 1, steps: [5],
  named: names.map((name) => ({name})), values, kinds: values.map(() => 0)});

test('other runs are drawn on the rows of the same name, or depth', () => {
  const own = grid(['a', 'b', 'c'], [1, 2, 3]);
  const same = grid(['c', 'a'], [30, 10]);
  assert.deepEqual(profileOf(own, same, 9).map(({row}) => row), [2, 0]);
  const other = grid(['u', 'v'], [7, 8]);
  assert.deepEqual(profileOf(own, other, 9).map(({row}) => row), [0, 2]);
  assert.deepEqual(profileOf(own, other, 4), [], 'before its first step');
});
