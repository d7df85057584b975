import assert from 'node:assert/strict';
import test from 'node:test';

import {columnOf, isEven, moved, tickColumns}
  from '../../gradscope_plugin/static/scales/axis.js';

const range = (from, to, by = 1) =>
  Array.from({length: Math.ceil((to - from) / by)}, (_, i) => from + i * by);
// gradscope's default: the first 50 steps, then every tenth.
const DEFAULT = [...range(0, 50), ...range(50, 1000, 10)];

test('first and last column are labelled, and round steps between', () => {
  assert.deepEqual(tickColumns(range(0, 101), 500, 80),
    [0, 20, 30, 50, 70, 80, 100]);
  const steps = tickColumns(DEFAULT, 700, 100).map((c) => DEFAULT[c]);
  assert.equal(steps[0], 0);
  assert.equal(steps.at(-1), 990);
  assert.ok(steps.slice(1, -1).every((step) => step % 10 === 0), `${steps}`);
});

test('labels keep half of the gap at least, for any number of steps', () => {
  for (const count of [2, 3, 10, 100, 4999]) {
    for (const width of [90, 300, 1000]) {
      const columns = tickColumns(range(0, count), width, 80);
      for (let i = 1; i < columns.length; i++) {
        const distance = (columns[i] - columns[i - 1]) / count * width;
        assert.ok(columns.length === 2 || distance >= 35,
          `${count} steps, ${width} px: ${columns}`);
      }
    }
  }
});

test('one step has one label, none has none', () => {
  assert.deepEqual(tickColumns([7], 500), [0]);
  assert.deepEqual(tickColumns([], 500), []);
});

test('uneven steps are noticed', () => {
  assert.equal(isEven(range(0, 100, 10)), true);
  assert.equal(isEven(DEFAULT), false);
  assert.equal(isEven([3]), true);
});

test('the column of a step is that of the last one recorded before', () => {
  const steps = [5, 10, 20];
  assert.deepEqual([0, 5, 9, 10, 19, 20, 99].map((s) => columnOf(steps, s)),
    [0, 0, 0, 1, 1, 2, 2]);
});

test('keys move within the grid', () => {
  const grid = {rows: 3, columns: 50};
  const from = {row: 1, column: 10};
  const to = (key) => {
    const {row, column} = moved(key, from, grid);
    return [row, column];
  };
  assert.deepEqual(to('ArrowLeft'), [1, 9]);
  assert.deepEqual(to('ArrowDown'), [2, 10]);
  assert.deepEqual(to('PageUp'), [1, 5]);
  assert.deepEqual(to('PageDown'), [1, 15]);
  assert.deepEqual(to('Home'), [1, 0]);
  assert.deepEqual(to('End'), [1, 49]);
  assert.deepEqual(moved('ArrowUp', {row: 0, column: 0}, grid),
    {row: 0, column: 0});
  assert.equal(moved('a', from, grid), null);
});
