import assert from 'node:assert/strict';
import test from 'node:test';

import {MARKS, SEQUENTIAL, TWO_SIDED, entryOf, lookOf}
  from '../../gradscope_plugin/static/scales/colormap.js';
import {createColors} from '../../gradscope_plugin/static/data/run_colors.js';
import {linearScale} from '../../gradscope_plugin/static/scales/scale.js';

const color = (palette, entry) =>
  [...palette.subarray(3 * entry, 3 * entry + 3)];
const luminance = ([r, g, b]) => 0.2126 * r + 0.7152 * g + 0.0722 * b;

test('palettes have 256 colours, and viridis its two ends', () => {
  assert.equal(SEQUENTIAL.length, 768);
  assert.equal(TWO_SIDED.length, 768);
  assert.deepEqual(color(SEQUENTIAL, 0), [0x44, 0x01, 0x54]);
  assert.deepEqual(color(SEQUENTIAL, 255), [0xfd, 0xe7, 0x25]);
});

test('the sequential palette never gets darker', () => {
  for (let entry = 1; entry < 256; entry++) {
    assert.ok(luminance(color(SEQUENTIAL, entry))
      >= luminance(color(SEQUENTIAL, entry - 1)) - 0.5, `entry ${entry}`);
  }
});

test('the two-sided palette is lightest in its middle', () => {
  const middle = luminance(color(TWO_SIDED, 127));
  for (const entry of [0, 64, 191, 255]) {
    assert.ok(luminance(color(TWO_SIDED, entry)) < middle - 20);
  }
});

test('no mark looks like a colour of a palette', () => {
  const marks = Object.values(MARKS).flatMap(Object.values);
  for (const mark of marks) {
    for (let entry = 0; entry < 256; entry++) {
      for (const palette of [SEQUENTIAL, TWO_SIDED]) {
        const there = color(palette, entry);
        const distance = Math.hypot(...mark.map((c, i) => c - there[i]));
        assert.ok(distance > 40, `${mark} and ${there}`);
      }
    }
  }
});

test('positions outside the scale take its last colours', () => {
  assert.deepEqual([-1, 0, 0.5, 1, 7].map(entryOf), [0, 0, 128, 255, 255]);
});

test('a look stays the same object until something changes', () => {
  const first = lookOf(linearScale([0, 1]), {}, 'light', null);
  assert.equal(lookOf(linearScale([0, 1]), {}, 'light', first), first);
  assert.notEqual(lookOf(linearScale([0, 2]), {}, 'light', first), first);
  assert.equal(first.palette, SEQUENTIAL);
  const around = lookOf(linearScale([-1, 1], 0), {center: 0}, 'light', null);
  assert.equal(around.palette, TWO_SIDED, 'a center of zero is one');
  const dark = lookOf(linearScale([0, 1]), {}, 'dark', first);
  assert.equal(dark.marks, MARKS.dark);
});

test('runs have the colours of TensorBoard, in its order', () => {
  const colors = createColors();
  colors.see(['train', 'a', 'b']);
  assert.equal(colors.of('train', 'light'), '#425066');
  assert.equal(colors.of('train', 'dark'), '#8e98a3');
  assert.equal(colors.of('a', 'light'), '#12b5cb');
  colors.see(['0', 'a']);
  assert.equal(colors.of('a', 'light'), '#12b5cb', 'a run keeps its colour');
  assert.equal(colors.of('0', 'light'), '#f9ab00', 'a later one comes last');
});
