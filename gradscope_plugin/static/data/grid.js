/** One statistic of one run: its matrix, what its rows and cells are. */

import {blocksOf} from './blocks.js';
import {classify} from './cell_kinds.js';
import {rowsOf} from './row_names.js';
import {describe, statisticsOf} from '../statistics/statistics.js';
import {groupsOf, markDead} from './dead_units.js';
import {fetchMatrix, rowOf} from './matrices.js';

const NO_ROWS = {rows: 0, columns: 0, steps: new Float64Array(),
  values: new Float32Array(), kinds: new Uint8Array(), named: []};

/**
 * Returns a matrix with the names of its rows and the kinds of its cells; one
 * without rows if the run has none.
 * @param {(url: string) => Promise<Response>} get
 * @param {Object} run of `/runs`
 * @param {string} statistic
 * @param {string} chosenRows
 * @param {{preview?: boolean, only?: string, matrices?: Map}=} more `preview`
 *     asks for some of the steps, `only` for one layer's rows; `matrices` are
 *     what was fetched before, so that only what is new is asked for
 */
export async function fetchGrid(get, run, statistic, chosenRows,
    {preview = false, only = '', matrices = new Map()} = {}) {
  const description = describe(statistic);
  const rows = description.rows ?? chosenRows;
  if (!statisticsOf(run).includes(statistic)) {
    // A run of an earlier version lacks what was added since.
    return {...NO_ROWS, unseen: run.unseen ?? [],
      isLacking: !description.rows};
  }
  const ask = async (name) => {
    const query = {run: run.name, statistic: name, rows,
      ...preview ? {preview: '1'} : {}, ...only ? {only} : {}};
    const key = JSON.stringify([name, rows, only]);
    const matrix = await fetchMatrix(get, 'matrix', query,
      preview ? null : matrices.get(key));
    if (!preview) matrices.set(key, matrix);
    return matrix;
  };
  const matrix = await ask(statistic);
  const named = rowsOf(run, rows).filter((row) => isOf(row, only));
  if (named.length !== matrix.rows) {
    throw new Error('The run changed while the page read it. Reload the page.');
  }
  const grid = {...matrix, named, preview,
    blocks: rows === 'units' ? [] : blocksOf(named)};
  const options = {
    ofGradient: Boolean(description.ofGradient),
    zeroIsSpecial: description.scale === 'log' && rows !== 'units',
    optional: Boolean(description.optional),
  };
  if (rows === 'units') return unitGrid(grid, ask, options, description);
  // Dropout has no moving mean; a row of nothing would look like a defect.
  const shown = rows === 'state' ? withoutEmptyRows(grid) : grid;
  const missing = await missingOf(run, shown, ask, description);
  return {...shown, kinds: classify(shown.values, {...options, missing})};
}

/**
 * Adds to a map of units which are dead, and a way to learn since when.
 * @param {{marksDead?: boolean}} description
 */
async function unitGrid(grid, ask, options, description) {
  // A run that grew between two requests has more steps in the second.
  const same = ({values}) =>
    values.length === grid.values.length ? values : null;
  const dead = same(await ask('unit_dead'));
  const kinds = classify(grid.values, {...options, missing: null});
  if (description.marksDead && dead) markDead(kinds, dead);
  const unitMap = {...grid, kinds,
    groups: groupsOf(grid.named, dead, grid.columns)};
  let asked = null;
  /** Fetches `silence`; only a reader who points at a unit needs it. */
  unitMap.learn = () => {
    asked ??= Promise.all(
      [ask('unit_idle_examples'), ask('unit_last_fired')].map(
        async (reply) => same(await reply)))
      .then(([idle, fired]) => {
        if (idle && fired) unitMap.silence = {idle, fired};
      }, () => {});
    return asked;
  };
  return unitMap;
}

/**
 * Returns `gradient_missing` of the same cells where it explains a NaN.
 * @param {{rows?: string}} description
 */
async function missingOf(run, grid, ask, description) {
  if (description.rows || !run.statistics.includes('gradient_missing')
      || !grid.values.some(Number.isNaN)) return null;
  const {values} = await ask('gradient_missing');
  // A run that grew between the two requests has more steps in the second.
  return values.length === grid.values.length ? values : null;
}

function withoutEmptyRows({columns, steps, values, named}) {
  const rows = named.map((_, row) => row)
    .filter((row) => !rowOf({columns, values}, row).every(Number.isNaN));
  const left = new Float32Array(rows.length * columns);
  rows.forEach((row, to) =>
    left.set(rowOf({columns, values}, row), to * columns));
  return {rows: rows.length, columns, steps, values: left,
    named: rows.map((row) => named[row])};
}

/** @param {{name: string, group?: string}} row */
function isOf({name, group}, only) {
  return !only || only === name || only === group;
}
