import assert from 'node:assert/strict';
import test from 'node:test';

import {
  WHOLE, columnsSeen, heightsSeen, including, panRows, panSteps, toColumn,
  toStep, zoomRows, zoomSteps,
} from '../../gradscope_plugin/static/scales/viewport.js';

const STEPS = Float64Array.from({length: 100}, (_, i) => i < 50 ? i : 10 * i);

test('places among columns and steps are the same, there and back', () => {
  for (const column of [0, 0.5, 49, 49.5, 50, 98.25, 99, 99.5]) {
    assert.ok(Math.abs(toColumn(STEPS, toStep(STEPS, column)) - column) < 1e-9);
  }
  assert.equal(toColumn(STEPS, 49), 49);
  assert.equal(toStep(STEPS, 50), 500);
});

test('one step is a column', () => {
  assert.deepEqual(columnsSeen(WHOLE, [5]), [0, 1]);
  assert.deepEqual(columnsSeen({steps: [2, 9], rows: null}, [5]), [0, 1]);
});

test('what is under the pointer stays there', () => {
  const zoom = zoomSteps(WHOLE, STEPS, 25, 0.5);
  const [from, to] = columnsSeen(zoom, STEPS);
  assert.ok(Math.abs(to - from - 50) < 1e-9);
  assert.ok(Math.abs((25 - from) / (to - from) - 0.25) < 1e-9);
});

test('zooming out ends at the whole, zooming in at four columns', () => {
  const near = zoomSteps(WHOLE, STEPS, 30, 1e-6);
  const [from, to] = columnsSeen(near, STEPS);
  assert.ok(Math.abs(to - from - 4) < 1e-9);
  assert.equal(zoomSteps(near, STEPS, 30, 1e6).steps, null);
});

test('nothing moves beyond what there is', () => {
  const zoom = zoomSteps(WHOLE, STEPS, 50, 0.2);
  const left = columnsSeen(panSteps(zoom, STEPS, -1000), STEPS);
  assert.ok(Math.abs(left[0]) < 1e-9 && Math.abs(left[1] - 20) < 1e-9);
  const right = columnsSeen(panSteps(zoom, STEPS, 1000), STEPS);
  assert.ok(Math.abs(right[1] - 100) < 1e-9);
  assert.equal(panSteps(WHOLE, STEPS, 5), WHOLE);
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
  const seen = columnsSeen(including(zoom, STEPS, 40, 0.2), STEPS);
  assert.ok(seen[1] >= 41 - 1e-9 && seen[0] <= 40);
  assert.ok(including(zoom, STEPS, 15, 0.9).rows[1] >= 0.9);
  assert.equal(including(zoom, STEPS, 15, 0.2), zoom);
});
