/** Two runs cell by cell: their ratio, and where they part; pure. */

import {ABSENT, INFINITE, MISSING, NAN, NUMBER, ZERO} from '../data/cell_kinds.js';
import {blocksOf} from '../data/blocks.js';
import {exact, tidy} from '../basics/format.js';

/** How the ratio is drawn; as a statistic in `statistics.js`. */
export const RATIO = {label: 'ratio', scale: 'log', domain: [0.1, 10],
  center: 1, help: 'the first run’s number divided by the second run’s',
  ends: ['smaller', 'larger'], rows: 'ratio'};

/**
 * Returns the rows and columns that two grids have both, as pairs of cells.
 * @return {{named: Object[], steps: Float64Array,
 *     cell: (row: number, column: number) => number[]}}
 */
function common(a, b) {
  const rowsOfB = new Map(b.named.map(({name}, row) => [name, row]));
  const rows = a.named.map((_, row) => row)
    .filter((row) => rowsOfB.has(a.named[row].name));
  const columnsOfB = new Map(Array.from(b.steps, (step, i) => [step, i]));
  const columns = Array.from(a.steps, (_, i) => i)
    .filter((i) => columnsOfB.has(a.steps[i]));
  const toB = rows.map((row) => rowsOfB.get(a.named[row].name));
  const inB = columns.map((i) => columnsOfB.get(a.steps[i]));
  return {
    named: rows.map((row) => a.named[row]),
    steps: Float64Array.from(columns, (i) => a.steps[i]),
    cell: (row, column) => [rows[row] * a.columns + columns[column],
      toB[row] * b.columns + inB[column]],
  };
}

/**
 * Returns the ratio of two grids where both have a number: of two zeros it is
 * 1, and where one has what the other has not, that is the cell's kind.
 */
export function ratioGrid(a, b) {
  const {named, steps, cell} = common(a, b);
  const [rows, columns] = [named.length, steps.length];
  const values = new Float32Array(rows * columns);
  const kinds = new Uint8Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const [i, j] = cell(row, column);
      const to = row * columns + column;
      kinds[to] = kindOf(a.kinds[i], b.kinds[j]);
      const both = a.values[i] === b.values[j];
      values[to] = kinds[to] === NAN || kinds[to] === ABSENT ? NaN
        : both ? 1 : a.values[i] / b.values[j];
      if (kinds[to] !== NUMBER) continue;
      if (values[to] === 0) kinds[to] = ZERO;
      else if (!Number.isFinite(values[to])) kinds[to] = INFINITE;
    }
  }
  return {rows, columns, steps, values, kinds, named, blocks: blocksOf(named)};
}

function kindOf(a, b) {
  if ([a, b].some((kind) => kind === ABSENT || kind === MISSING)) return ABSENT;
  return a === NAN || b === NAN ? NAN : NUMBER;
}

/**
 * Returns where two grids first differ by a factor or more: the first step, and
 * of its rows the first.
 * @param {number} factor 1 is any difference at all
 * @return {?{step: number, name: string, a: number, b: number,
 *     otherRows: number}} how many other rows differ in that step
 */
export function parting(a, b, factor) {
  const {named, steps, cell} = common(a, b);
  for (let column = 0; column < steps.length; column++) {
    const rows = named.map((_, row) => row).filter((row) => {
      const [i, j] = cell(row, column);
      return differ(a.values[i], b.values[j], factor);
    });
    if (!rows.length) continue;
    const [i, j] = cell(rows[0], column);
    return {step: steps[column], name: named[rows[0]].name, a: a.values[i],
      b: b.values[j], otherRows: rows.length - 1};
  }
  return null;
}

function differ(a, b, factor) {
  if (Object.is(a, b) || a === b) return false;
  if (Number.isNaN(a) || Number.isNaN(b) || factor === 1) return true;
  const ratio = Math.abs(a / b);
  return !(ratio < factor && ratio > 1 / factor);
}

/** Returns where two runs first differ at all, null if nowhere. */
export function firstDifference(a, b) {
  return parting(a, b, 1);
}

/** Returns in words where two runs part. */
export function partingText(a, b) {
  const {named, steps} = common(a, b);
  if (!named.length) return 'These runs have no layer in common.';
  if (!steps.length) return 'These runs have no recorded step in common.';
  const first = parting(a, b, 1);
  if (!first) {
    return `No difference in ${steps.length} common steps x ${named.length} `
      + 'rows.';
  }
  const start = first.step === steps[0] ? 'They differ from the first step on: '
    : `Equal before step ${first.step}, where they part in ${first.name}: `;
  const far = parting(a, b, 2);
  return start + pairText(first) + (far ? far.step === first.step
    && far.name === first.name ? '' : ` They first differ by a factor of 2 at step `
      + `${far.step} in ${far.name}: ${pairText(far)}`
    : ' They never differ by a factor of 2.');
}

function pairText({a, b, otherRows}) {
  const ratio = a / b;
  const times = Number.isFinite(ratio) && ratio
    ? `, ${tidy(Number(ratio.toPrecision(3)))} times` : '';
  const more = otherRows
    ? ` (and ${otherRows} other row${otherRows === 1 ? '' : 's'})` : '';
  return `${exact(a)} against ${exact(b)}${times}${more}.`;
}
