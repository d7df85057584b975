/** All requests to the server; replies that come too late are dropped. */

import {classify} from './cells.js';
import {describe} from './statistics.js';

// Grids kept, so that going back to a statistic is instant. 5000 steps of 200
// layers are 5 MB each.
const CACHED_GRIDS = 24;

/**
 * Reads the server's matrix, whose layout `http_api.md` describes.
 * @param {ArrayBuffer} buffer
 * @return {{rows: number, columns: number, steps: Float64Array,
 *     values: Float32Array}} values row by row
 */
export function parseMatrix(buffer) {
  const [rows, columns] = new Uint32Array(buffer, 0, 2);
  const expected = 8 + 8 * columns + 4 * rows * columns;
  if (buffer.byteLength !== expected) {
    throw new RangeError(`${rows} x ${columns} matrix of ${expected} bytes `
      + `got ${buffer.byteLength}`);
  }
  const steps = new Float64Array(buffer, 8, columns);
  const values = new Float32Array(buffer, 8 + 8 * columns, rows * columns);
  return {rows, columns, steps, values};
}

/**
 * Returns the rows of a run's matrix.
 * @return {{name: string, shapes: string}[]} in forward order
 */
export function rowsOf(run, rows) {
  const shape = (variable) => `[${variable.shape.join(', ')}]`;
  if (rows === 'layers') {
    return run.layers.map((name) => ({
      name,
      shapes: run.variables
        .filter((variable) => variable.layer === name)
        .map((v) => `${v.name.split('/').pop()} ${shape(v)}`)
        .join(', '),
    }));
  }
  if (rows === 'activations') {
    return run.activations.map(({name, kind, units}) => ({
      name, shapes: `${kind}, ${units} units`,
    }));
  }
  return run.variables
    .filter((v) => rows === 'variables' || v.shape.length >= 2)
    .map((variable) => ({name: variable.name, shapes: shape(variable)}));
}

/**
 * @param {(url: string) => Promise<Response>} get fetches a relative URL
 */
export function createModel(get = fetchOk) {
  const cache = new Map();
  let reloads = 0;
  let shows = 0;

  function cached(run, statistic, rows) {
    const key = JSON.stringify(
      [run.name, statistic, rows, run.steps, run.last_wall_time]);
    if (!cache.has(key)) {
      const reply = fetchGrid(get, run, statistic, rows);
      cache.set(key, reply);
      reply.catch(() => cache.delete(key));
      if (cache.size > CACHED_GRIDS) cache.delete(cache.keys().next().value);
    }
    return cache.get(key);
  }

  return {
    /** Returns the list of runs, null if asked again in the meantime. */
    async runs() {
      const mine = ++reloads;
      const reply = await (await get('runs')).json();
      return mine === reloads ? reply : null;
    },

    /**
     * Calls `show(run, grid)`, or `show(run, null, error)`, for each run,
     * unless asked for others in the meantime.
     */
    grids(runs, statistic, rows, show) {
      const mine = ++shows;
      const current = (call) => (reply) => {
        if (mine === shows) call(reply);
      };
      return Promise.all(runs.map((run) => cached(run, statistic, rows).then(
        current((reply) => show(run, reply)),
        current((error) => show(run, null, error.message)),
      )));
    },
  };
}

const NO_ROWS = {rows: 0, columns: 0, steps: new Float64Array(),
  values: new Float32Array(), kinds: new Uint8Array(), named: []};

/** Returns a matrix with the names of its rows and the kinds of its cells. */
async function fetchGrid(get, run, statistic, chosenRows) {
  const description = describe(statistic);
  const rows = description.rows ?? chosenRows;
  if (rows === 'activations' && !run.activations?.length) return NO_ROWS;
  const matrix = await fetchMatrix(get, run, statistic, rows);
  const named = rowsOf(run, rows);
  if (named.length !== matrix.rows) {
    throw new Error('The run changed while it was read. Reload the page.');
  }
  let missing = null;
  // Only where a number is missing does it matter why.
  if (rows !== 'activations' && run.statistics.includes('gradient_missing')
      && matrix.values.some(Number.isNaN)) {
    const {values} = await fetchMatrix(get, run, 'gradient_missing', rows);
    // A run that grew between the two requests has more steps in the second.
    missing = values.length === matrix.values.length ? values : null;
  }
  const kinds = classify(matrix.values, {
    missing,
    ofGradient: statistic.includes('gradient_'),
    zeroIsSpecial: description.scale === 'log',
    optional: Boolean(description.optional),
  });
  return {...matrix, named, kinds};
}

async function fetchMatrix(get, run, statistic, rows) {
  const query = new URLSearchParams({run: run.name, statistic, rows});
  return parseMatrix(await (await get(`matrix?${query}`)).arrayBuffer());
}

async function fetchOk(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(await response.text());
  return response;
}
