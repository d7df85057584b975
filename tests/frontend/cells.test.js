import assert from 'node:assert/strict';
import test from 'node:test';

import {ABSENT, INFINITE, MISSING, NAN, NUMBER, ZERO, classify, kindsIn,
  outside}
  from '../../gradscope_plugin/static/data/cell_kinds.js';

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

test('a grid lists what its cells are that are no number', () => {
  assert.deepEqual(kindsIn(grid(1, [1, Infinity, 2, 0, NaN, 0])),
    [ZERO, NAN, INFINITE]);
  const healthy = grid(1, [1, 2]);
  assert.deepEqual(kindsIn(healthy), []);
  assert.equal(kindsIn(healthy), kindsIn(healthy));
});

function grid(rows, values) {
  const numbers = Float32Array.from(values);
  return {rows, columns: numbers.length / rows, values: numbers,
    kinds: classify(numbers, LOG)};
}

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
