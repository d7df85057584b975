import assert from 'node:assert/strict';
import test from 'node:test';

import {columnOf, moved} from '../../gradscope_plugin/static/scales/axis.js';
import {changesOf, makeAxis, middleOf, placesOf, ticksOf, toColumn, toStep}
  from '../../gradscope_plugin/static/scales/step_axis.js';

const range = (from, to, by = 1) =>
  Array.from({length: Math.ceil((to - from) / by)}, (_, i) => from + i * by);
// gradscope's default: the first 50 steps, then every tenth.
const DEFAULT = [...range(0, 50), ...range(50, 1000, 10)];

const STEPS = Float64Array.from({length: 100}, (_, i) => i < 50 ? i : 10 * i);

test('places among columns and steps are the same, there and back', () => {
  for (const column of [0, 0.5, 49, 49.5, 50, 98.25, 99, 99.5]) {
    assert.ok(Math.abs(toColumn(STEPS, toStep(STEPS, column)) - column) < 1e-9);
  }
  assert.equal(toColumn(STEPS, 49), 49);
  assert.equal(toStep(STEPS, 50), 500);
  for (const kind of ['linear', 'columns']) {
    const axis = makeAxis(kind, [STEPS]);
    for (const step of [0, 7, 30.5, 495, 990]) {
      assert.ok(Math.abs(axis.step(axis.place(step)) - step) < 1e-9);
    }
  }
});

test('on a linear axis the first 50 steps of 1000 are a twentieth', () => {
  const axis = makeAxis('linear', [DEFAULT]);
  assert.equal(axis.length, 1000);
  assert.equal(axis.place(50) / axis.length, 0.05);
  const places = placesOf(axis, Float64Array.from(DEFAULT));
  assert.deepEqual([...places.slice(48, 53)], [48, 49, 50, 60, 70]);
  assert.equal(places.at(-1), 1000, 'the last step is as long as before');
});

test('all runs have the same axis, that of a shorter one ends earlier', () => {
  const [long, short] = [range(0, 100), range(0, 40, 2)];
  const linear = makeAxis('linear', [long, short]);
  assert.equal(linear.length, 100);
  assert.equal(placesOf(linear, Float64Array.from(short)).at(-1), 40);
  const columns = makeAxis('columns', [short, [1, 3, 50]]);
  assert.equal(columns.length, 23);
  assert.deepEqual([...columns.steps.slice(0, 5)], [0, 1, 2, 3, 4]);
  assert.equal(middleOf(columns, 3), 3.5);
});

test('first and last step are labelled, and round steps between', () => {
  const ticks = (kind, steps, width, gap) => {
    const axis = makeAxis(kind, [steps]);
    return ticksOf(axis, [0, axis.length], width, gap);
  };
  assert.deepEqual(ticks('columns', range(0, 101), 500, 80),
    [0, 20, 30, 50, 70, 80, 100]);
  assert.deepEqual(ticks('linear', range(0, 101), 500, 80),
    [0, 20, 40, 60, 80, 100]);
  const steps = ticks('columns', DEFAULT, 700, 100);
  assert.equal(steps[0], 0);
  assert.equal(steps.at(-1), 990);
  assert.ok(steps.slice(1, -1).every((step) => step % 10 === 0), `${steps}`);
  assert.deepEqual(ticks('linear', DEFAULT, 700, 80),
    [0, 200, 400, 600, 800, 990]);
  assert.deepEqual(ticks('linear', [7], 500), [7]);
  assert.deepEqual(ticks('columns', [7], 500), [7]);
  assert.deepEqual(ticks('columns', [], 500), []);
});

test('labels keep half of the gap at least, for any number of steps', () => {
  for (const count of [2, 3, 10, 100, 4999]) {
    for (const width of [90, 300, 1000]) {
      for (const kind of ['linear', 'columns']) {
        const axis = makeAxis(kind, [range(0, count)]);
        const ticks = ticksOf(axis, [0, count], width, 80);
        for (let i = 1; i < ticks.length; i++) {
          const distance = (ticks[i] - ticks[i - 1]) / count * width;
          assert.ok(ticks.length === 2 || distance >= 35,
            `${kind}, ${count} steps, ${width} px: ${ticks}`);
        }
      }
    }
  }
});

test('where columns become longer steps is marked, unless all over', () => {
  assert.deepEqual(changesOf(makeAxis('columns', [DEFAULT])),
    [{place: 0, interval: 1}, {place: 51, interval: 10}]);
  assert.deepEqual(changesOf(makeAxis('linear', [DEFAULT])), []);
  const wild = range(0, 30).map((i) => i * i);
  assert.deepEqual(changesOf(makeAxis('columns', [wild])), []);
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
