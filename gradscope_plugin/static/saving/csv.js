/** Numbers as comma-separated values, RFC 4180; pure. */

import {KIND_NAMES, NUMBER} from '../data/cell_kinds.js';
import {exact} from '../basics/format.js';

/** Returns a field; text is quoted where it has to be. */
export function field(text) {
  // A spreadsheet would take a name that begins so for a formula.
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Returns the lines of a table whose numbers are text already. */
export function csvOf(lines) {
  return lines.map((line) => line.join(',')).join('\r\n') + '\r\n';
}

/**
 * Returns a grid, a line a row and a column a step; what is no number in words.
 * @param {{rows: number, columns: number, steps: Float64Array, named: Object[],
 *     values: Float32Array, kinds: Uint8Array}} grid
 */
export function gridLines({rows, columns, steps, named, values, kinds}) {
  const lines = [['row', ...Array.from(steps, String)]];
  for (let row = 0; row < rows; row++) {
    const line = [field(named[row].name)];
    for (let cell = row * columns; cell < (row + 1) * columns; cell++) {
      const isNumber = kinds[cell] === NUMBER || values[cell] === 0
        || !Number.isFinite(values[cell]) && !Number.isNaN(values[cell]);
      line.push(isNumber ? exact(values[cell]) : KIND_NAMES[kinds[cell]]);
    }
    lines.push(line);
  }
  return lines;
}

/**
 * Returns series, a line a step.
 * @param {ArrayLike<number>} steps
 * @param {{name: string, values: ArrayLike<number>}[]} series
 */
export function seriesLines(steps, series) {
  const lines = [['step', ...series.map(({name}) => field(name))]];
  for (let i = 0; i < steps.length; i++) {
    lines.push([String(steps[i]), ...series.map(({values}) =>
      exact(values[i]))]);
  }
  return lines;
}

/** Returns a name for a file, of what runs and layers are called. */
export function fileName(parts, extension) {
  const plain = parts.filter(Boolean).join('-')
    .replace(/[^\p{L}\p{N}._-]+/gu, '_').slice(0, 120);
  return `${plain || 'gradscope'}.${extension}`;
}
