/** Rows that share a line: which of them is drawn; pure.
 *
 * It is the same row from the first column to the last. The most extreme cell of
 * each column would jump between layers, and show a pattern that no layer has.
 */

import {ABSENT, NAN} from '../data/cell_kinds.js';
import {SPECIAL, WEIGHTS} from './cell_entries.js';

// What is drawn whichever row has it: NaN and infinities.
const LOUD = WEIGHTS[SPECIAL + NAN];

const NOTHING = SPECIAL + ABSENT;

/**
 * Some rows as one line; `lead` is the row that is drawn.
 * @typedef {{to: number, lead: number, line: Uint16Array}} Merged
 */

/**
 * Returns the row that stands for some: one that is no number in most columns
 * (the worst of these), or else the largest.
 * @param {Uint16Array} entries
 * @param {number} columns
 * @param {{from: number, to: number}} rows
 * @param {ArrayLike<number>=} sizes of all rows, in weights or units
 */
export function leadOf(entries, columns, {from, to}, sizes) {
  let lead = from;
  let most = [-1, 0];
  for (let row = from; row < to; row++) {
    const rank = [abnormality(entries, columns, row), sizes?.[row] ?? 0];
    if (rank[0] > most[0] || (rank[0] === most[0] && rank[1] > most[1])) {
      lead = row;
      most = rank;
    }
  }
  return lead;
}

/** Returns the mean weight of a row that is mostly abnormal, 0 for another, and
 * -1 for one of which nothing was recorded. */
function abnormality(entries, columns, row) {
  let recorded = 0;
  let special = 0;
  let weight = 0;
  for (let cell = row * columns; cell < (row + 1) * columns; cell++) {
    const entry = entries[cell];
    if (entry === NOTHING) continue;
    recorded += 1;
    if (entry < SPECIAL) continue;
    special += 1;
    weight += WEIGHTS[entry];
  }
  if (!recorded) return -1;
  return 2 * special > recorded ? weight / recorded : 0;
}

/** Returns the row that is drawn in a column: the lead, unless another is NaN or
 * infinite there, or alone was recorded. */
function rowIn(entries, columns, {from, to}, lead, column) {
  let best = lead;
  let most = WEIGHTS[entries[lead * columns + column]];
  for (let row = from; row < to; row++) {
    const weight = WEIGHTS[entries[row * columns + column]];
    if (weight > most && (weight >= LOUD || most === 0)) {
      most = weight;
      best = row;
    }
  }
  return best;
}

/** Returns of some rows the entry that is drawn in each column. */
export function mergedLine(entries, columns, rows, lead) {
  const line = new Uint16Array(columns);
  for (let column = 0; column < columns; column++) {
    const row = rowIn(entries, columns, rows, lead, column);
    line[column] = entries[row * columns + column];
  }
  return line;
}

/**
 * Returns of each folded block its one line: 1000 rows in a hundred blocks are
 * looked through once, and not with each zoom in rows.
 * @param {Uint16Array} entries
 * @param {number} columns
 * @param {import('./row_places.js').Placed} placed
 * @param {ArrayLike<number>=} sizes
 * @return {Map<number, Merged>} by its first row
 */
export function foldedLines(entries, columns, placed, sizes) {
  return new Map(placed.blocks.filter(({isFolded}) => isFolded)
    .map((block) => {
      const lead = leadOf(entries, columns, block, sizes);
      const line = mergedLine(entries, columns, block, lead);
      return [block.from, {to: block.to, lead, line}];
    }));
}

/**
 * Returns the cell that is drawn for some rows and columns: of the first of the
 * columns with the largest weight.
 * @return {number} its index
 */
export function pick(entries, columns, rows, first, last, sizes) {
  const lead = rows.to - rows.from > 1
    ? leadOf(entries, columns, rows, sizes) : rows.from;
  const at = (column) =>
    rowIn(entries, columns, rows, lead, column) * columns + column;
  let best = at(first);
  for (let column = first + 1; column < last; column++) {
    const cell = at(column);
    if (WEIGHTS[entries[cell]] > WEIGHTS[entries[best]]) best = cell;
  }
  return best;
}
