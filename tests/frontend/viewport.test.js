import assert from 'node:assert/strict';
import test from 'node:test';

import {makeAxis} from '../../gradscope_plugin/static/scales/step_axis.js';
import {
  WHOLE, heightsSeen, including, panRows, panSteps, placesSeen, zoomRows,
  zoomSteps,
} from '../../gradscope_plugin/static/scales/viewport.js';

const STEPS = Float64Array.from({length: 100}, (_, i) => i < 50 ? i : 10 * i);

const COLUMNS = makeAxis('columns', [STEPS]);

test('one step is a column', () => {
  assert.deepEqual(placesSeen(WHOLE, makeAxis('columns', [[5]])), [0, 1]);
  assert.deepEqual(placesSeen(
    {steps: [2, 9], rows: null}, makeAxis('columns', [[5]])), [0, 1]);
});

test('what is under the pointer stays there', () => {
  const zoom = zoomSteps(WHOLE, COLUMNS, 25, 0.5);
  const [from, to] = placesSeen(zoom, COLUMNS);
  assert.ok(Math.abs(to - from - 50) < 1e-9);
  assert.ok(Math.abs((25 - from) / (to - from) - 0.25) < 1e-9);
});

test('zooming out ends at the whole, zooming in at four columns', () => {
  const near = zoomSteps(WHOLE, COLUMNS, 30, 1e-6);
  const [from, to] = placesSeen(near, COLUMNS);
  assert.ok(Math.abs(to - from - 4) < 1e-9);
  assert.equal(zoomSteps(near, COLUMNS, 30, 1e6).steps, null);
});

test('on a linear axis four recorded steps are the least that is seen', () => {
  const axis = makeAxis('linear', [[0, 10, 20, 30, 40, 50, 60, 70]]);
  const [from, to] = placesSeen(zoomSteps(WHOLE, axis, 30, 1e-6), axis);
  assert.ok(Math.abs(to - from - 40) < 1e-9);
  assert.equal(zoomSteps(WHOLE, axis, 30, 2).steps, null);
});

test('nothing moves beyond what there is', () => {
  const zoom = zoomSteps(WHOLE, COLUMNS, 50, 0.2);
  const left = placesSeen(panSteps(zoom, COLUMNS, -1000), COLUMNS);
  assert.ok(Math.abs(left[0]) < 1e-9 && Math.abs(left[1] - 20) < 1e-9);
  const right = placesSeen(panSteps(zoom, COLUMNS, 1000), COLUMNS);
  assert.ok(Math.abs(right[1] - 100) < 1e-9);
  assert.equal(panSteps(WHOLE, COLUMNS, 5), WHOLE);
});

test('rows are zoomed by shares of the height', () => {
  const zoom = zoomRows(WHOLE, 0.5, 0.5);
  assert.deepEqual(zoom.rows, [0.25, 0.75]);
  assert.deepEqual(heightsSeen(zoom, 200), [50, 150]);
  assert.deepEqual(panRows(zoom, 1).rows, [0.5, 1]);
  assert.equal(zoomRows(zoom, 0.5, 9).rows, null);
});

test('the cursor stays in sight', () => {
  const zoom = {steps: [10, 20], rows: [0, 0.5]};
  const seen = placesSeen(including(zoom, COLUMNS, [40, 41], 0.2), COLUMNS);
  assert.ok(seen[1] >= 41 - 1e-9 && seen[0] <= 40);
  assert.ok(including(zoom, COLUMNS, [15, 16], 0.9).rows[1] >= 0.9);
  assert.equal(including(zoom, COLUMNS, [15, 16], 0.2), zoom);
});
