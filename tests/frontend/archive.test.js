import assert from 'node:assert/strict';
import test from 'node:test';

import {decodeMatrix, keyOf}
  from '../../gradscope_plugin/static/reporting/archive.js';
import {parseMatrix} from '../../gradscope_plugin/static/data/matrices.js';

/** Returns a packed matrix: head, differences of steps, planes of bytes. */
function packed(head, steps, planes) {
  const bytes = new Uint8Array(16 + 8 * steps.length + planes.length);
  new Uint32Array(bytes.buffer, 0, 4).set(head);
  new Float64Array(bytes.buffer, 16, steps.length).set(steps);
  bytes.set(planes, 16 + 8 * steps.length);
  return bytes;
}

test('a reply is called by its path and its query, sorted', () => {
  assert.equal(keyOf('matrix', {run: 'a b', rows: 'layers'}),
    'matrix\nrows=layers\nrun=a b');
  assert.equal(keyOf('runs', {}), 'runs');
});

test('exact numbers are the bits of float32', () => {
  // 1 is 0x3f800000, doubled by folding: 0x7f000000; 1.5 is 0x400000 more,
  // which is 0x800000 when folded.
  const reply = parseMatrix(decodeMatrix(packed([1, 2, 7, 0], [10, 5],
    [0, 0, 0, 0, 0, 0x80, 0x7f, 0])));
  assert.deepEqual([...reply.values], [1, 1.5]);
  assert.deepEqual([...reply.steps], [10, 15]);
  assert.deepEqual([reply.written, reply.total, reply.mark], [7, 2, 0]);
});

test('rounded numbers are what three digits name', () => {
  // The code of 0.123 is 900 * 44 + 24, folded 79248; 0.7 is 577 above it,
  // folded 1154; -0.7 is 2 * 40201 below that, folded 160803.
  const codes = [79248, 1154, 160803];
  const planes = [0, 8, 16].flatMap((shift) =>
    codes.map((code) => code >> shift & 255));
  const reply = parseMatrix(decodeMatrix(
    packed([1, 3, 0, 1], [0, 1, 1], planes)));
  assert.deepEqual([...reply.values], [0.123, 0.7, -0.7].map(Math.fround));
});

test('each row begins anew', () => {
  const reply = parseMatrix(decodeMatrix(packed([2, 1, 0, 1], [4],
    [2 * 900 & 255, 2 * 90_000 & 255, 2 * 900 >> 8, 2 * 90_000 >> 8 & 255,
      0, 2 * 90_000 >> 16])));
  assert.deepEqual([...reply.values], [Math.fround(9.99e-45), NaN]);
});
