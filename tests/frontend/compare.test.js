import assert from 'node:assert/strict';
import test from 'node:test';

import {ABSENT, INFINITE, MISSING, NAN, NUMBER, ZERO}
  from '../../gradscope_plugin/static/data/cell_kinds.js';
import {parting, partingText, ratioGrid}
  from '../../gradscope_plugin/static/comparison/ratios.js';

function grid(names, steps, rows, kinds = null) {
  const values = Float32Array.from(rows.flat());
  return {rows: names.length, columns: steps.length,
    steps: Float64Array.from(steps), values,
    named: names.map((name) => ({name})),
    kinds: Uint8Array.from(kinds ?? values, (value, i) => kinds ? kinds[i]
      : Number.isNaN(value) ? NAN : value === 0 ? ZERO : NUMBER)};
}

const A = grid(['x', 'y'], [0, 1, 2], [[1, 2, 8], [1, 1, 3]]);
const B = grid(['y', 'x'], [0, 2, 3], [[1, 3, 5], [1, 2, 5]]);

test('cells are paired by the names of rows and by steps', () => {
  const {named, steps, values, kinds} = ratioGrid(A, B);
  assert.deepEqual(named.map(({name}) => name), ['x', 'y']);
  assert.deepEqual([...steps], [0, 2]);
  assert.deepEqual([...values], [1, 4, 1, 1]);
  assert.ok(kinds.every((kind) => kind === NUMBER));
});

test('a ratio of what is no number is none', () => {
  const a = grid(['x'], [0, 1, 2, 3, 4], [[0, 0, 1, NaN, NaN]],
    [ZERO, ZERO, NUMBER, NAN, MISSING]);
  const b = grid(['x'], [0, 1, 2, 3, 4], [[0, 1, 0, 1, 1]],
    [ZERO, NUMBER, ZERO, NUMBER, NUMBER]);
  const {values, kinds} = ratioGrid(a, b);
  assert.deepEqual([...kinds], [NUMBER, ZERO, INFINITE, NAN, ABSENT]);
  assert.equal(values[0], 1, 'two zeros are the same');
});

test('runs part in the first step that differs, in its first row', () => {
  assert.deepEqual(parting(A, B, 1),
    {step: 2, name: 'x', a: 8, b: 2, otherRows: 0});
  assert.equal(parting(A, B, 5), null);
  assert.equal(parting(A, A, 1), null);
});

test('in words: equal, apart from a step on, and by a factor of 2', () => {
  assert.equal(partingText(A, A),
    'No difference in 3 common steps x 2 rows.');
  assert.equal(partingText(A, B), 'Equal before step 2, where they part in x: '
    + '8 against 2, 4 times.');
  const near = grid(['x', 'y'], [0, 1, 2], [[1, 2.5, 9], [1, 1, 9]]);
  assert.equal(partingText(A, near), 'Equal before step 1, where they part in '
    + 'x: 2 against 2.5, 0.8 times. They first differ by a factor of 2 at step '
    + '2 in y: 3 against 9, 0.333 times.');
  assert.equal(partingText(A, grid(['z'], [0], [[1]])),
    'These runs have no layer in common.');
  assert.equal(partingText(A, grid(['x'], [7], [[1]])),
    'These runs have no recorded step in common.');
});
