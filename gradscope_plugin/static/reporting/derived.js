/** Replies that follow from others, so that a report holds no number twice;
 * pure. */

import {rowOf} from '../data/matrices.js';
import {rowsOf} from '../data/row_names.js';

/** @typedef {import('../data/matrices.js').Matrix} Matrix */

// Where `/runs` lists the statistics of the rows that have series.
const LISTED = {layers: 'statistics', variables: 'statistics',
  activations: 'activation_statistics', state: 'state_statistics'};

/**
 * Returns a reply that a report has under no key of its own, null if it cannot
 * be derived either.
 * @param {string} path
 * @param {Object<string, string>} query
 * @param {Object} run of `/runs`
 * @param {(query: Object<string, string>) => Promise<?Matrix>} matrixOf
 * @return {Promise<?Matrix>}
 */
export async function derived(path, query, run, matrixOf) {
  if (!run) return null;
  if (path === 'series') return series(query, run, matrixOf);
  if (path !== 'matrix') return null;
  const {only, ...all} = query;
  if (only) {
    return withRows(await anyMatrix(all, run, matrixOf),
      rowsOf(run, query.rows).map((row) => isOf(run, row, only)));
  }
  return query.rows === 'kernels' ? anyMatrix(all, run, matrixOf) : null;
}

/** Kernels are those variables that have two dimensions or more. */
async function anyMatrix(query, run, matrixOf) {
  if (query.rows !== 'kernels') return matrixOf(query);
  return withRows(await matrixOf({...query, rows: 'variables'}),
    run.variables.map(({shape}) => shape.length >= 2));
}

/** All statistics of one row, in the order of `/runs`; NaN where the report
 * lacks one, because no chart shows it. */
async function series({only, rows, ...query}, run, matrixOf) {
  const row = rowsOf(run, rows).findIndex(({name}) => name === only);
  const matrices = await Promise.all(run[LISTED[rows]].map((statistic) =>
    matrixOf({...query, rows, statistic})));
  const any = matrices.find(Boolean);
  if (!any || row < 0) return null;
  const values = new Float32Array(matrices.length * any.columns).fill(NaN);
  matrices.forEach((matrix, index) => {
    if (matrix) values.set(rowOf(matrix, row), index * any.columns);
  });
  return {...any, rows: matrices.length, values};
}

function withRows(matrix, flags) {
  if (!matrix) return null;
  const rows = flags.flatMap((flag, row) => (flag ? [row] : []));
  const values = new Float32Array(rows.length * matrix.columns);
  rows.forEach((row, to) =>
    values.set(rowOf(matrix, row), to * matrix.columns));
  return {...matrix, rows: rows.length, values};
}

/** Whether a row is the one of that name, or of a layer or group so called. */
function isOf(run, {name, group}, only) {
  return [name, group].includes(only) || run.variables.some((variable) =>
    variable.name === name && variable.layer === only);
}
