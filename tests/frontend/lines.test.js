import assert from 'node:assert/strict';
import test from 'node:test';

import {drawSeries} from '../../gradscope_plugin/static/layer/line_chart.js';
import {drawGaps, drawLine} from '../../gradscope_plugin/static/strip/lane.js';

/** Returns a canvas's context that notes what is drawn, and the notes. */
function notebook() {
  const notes = [];
  const note = (name) => (...numbers) => notes.push([name, ...numbers]);
  const context = /** @type {any} */ ({beginPath() {}, stroke() {},
    moveTo: note('move'), lineTo: note('line'), fillRect: note('rect')});
  return {context, notes};
}

const isLine = ([name]) => name !== 'rect';

test('in a chart NaN and infinity are gaps with a tick, and no zero', () => {
  const {context, notes} = notebook();
  const values = Float32Array.of(1, NaN, 2, 3, Infinity);
  drawSeries(context, values, {width: 50, height: 8,
    x: (column) => 10 * column, y: (value) => 8 - 2 * value});
  assert.deepEqual(notes.filter(isLine),
    [['move', 0, 6], ['move', 20, 4], ['line', 30, 2]]);
  assert.deepEqual(notes.filter((one) => !isLine(one)),
    [['rect', 9, 0, 2, 4], ['rect', 39, 0, 2, 4]]);
});

test('in the strip they are gaps, too, marked at the top', () => {
  const line = {steps: [0, 1, 2, 3], isDashed: false,
    values: Float32Array.of(1, NaN, 2, Infinity)};
  const x = (step) => 10 * step;
  const {context, notes} = notebook();
  drawLine(context, line, x, (value) => 8 - 2 * value, [0, 50]);
  assert.deepEqual(notes.filter(([name]) => name === 'move'),
    [['move', 0, 6], ['move', 20, 4]]);
  const places = notes.filter(isLine).map(([, ...place]) => place.join());
  assert.deepEqual([...new Set(places)], ['0,6', '20,4']);
  const gaps = notebook();
  drawGaps(gaps.context, line, x);
  assert.deepEqual(gaps.notes, [['rect', 10, 0, 10, 6], ['rect', 30, 0, 2, 6]]);
});
