/** What each cell of a grid is drawn as; pure. */

import {ABOVE, ABSENT, BELOW, DEAD, INFINITE, MISSING, NAN, NUMBER, ZERO}
  from '../data/cell_kinds.js';
import {entryOf} from '../scales/colormap.js';

/** Entries of a look's table: 256 colours of numbers, then the other kinds. */
export const SPECIAL = 256;
export const ENTRIES = SPECIAL + 16;

/** What is drawn where a run has no step: nothing. */
export const OUTSIDE = ENTRIES - 1;

// Above the weights of numbers, of at most 128.5, and of what is out of range; a
// cell that was not recorded hides no other.
const SEVERITY = {
  [ABSENT]: 0, [MISSING]: 200, [ZERO]: 300, [DEAD]: 300, [NAN]: 400,
  [INFINITE]: 500,
};
/** Where many columns share a pixel the entry of the largest weight is drawn: one
 * NaN in 5000 steps must not be averaged away. Among numbers it is the one
 * furthest from the middle of the scale. */
export const WEIGHTS = new Uint16Array(ENTRIES);
for (let entry = 0; entry < SPECIAL; entry++) {
  WEIGHTS[entry] = 1 + Math.abs(entry - 127.5);
}
for (const [kind, weight] of Object.entries(SEVERITY)) {
  WEIGHTS[SPECIAL + Number(kind)] = weight;
}
WEIGHTS[SPECIAL + BELOW] = WEIGHTS[SPECIAL + ABOVE] = 150;

/**
 * Returns the entry of each cell: the colour of its number, or its kind.
 * @param {{values: Float32Array, kinds: Uint8Array}} grid
 * @param {(value: number) => number} position of the scale
 */
export function entriesOf({values, kinds}, position) {
  const entries = new Uint16Array(values.length);
  for (let cell = 0; cell < values.length; cell++) {
    const kind = kinds[cell];
    if (kind !== NUMBER) {
      entries[cell] = SPECIAL + kind;
      continue;
    }
    const place = position(values[cell]);
    // A number is at the end of a scale as float32 has it, or beyond; a zero
    // is below each log scale, and its first colour says so.
    entries[cell] = place < -1e-6 && place > -Infinity ? SPECIAL + BELOW
      : place > 1 + 1e-6 ? SPECIAL + ABOVE : entryOf(place);
  }
  return entries;
}

/** Returns the kind that an entry is drawn as. */
export function kindOf(entry) {
  return entry < SPECIAL ? NUMBER : entry - SPECIAL;
}
