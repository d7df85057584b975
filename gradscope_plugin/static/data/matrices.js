/** Matrices as they come from the server, see `http_api.md`; pure. */

const HEAD = 24;

/**
 * A statistic of some rows at some steps.
 * @typedef {{rows: number, columns: number, start: number, total: number,
 *     mark: number, written: number, steps: Float64Array,
 *     values: Float32Array}} Matrix
 *     `values` row by row, `start` the columns before the first one, `total`
 *     how many there are, `mark` to be sent back, `written` how many were
 *     recorded, 0 where that is not told
 */

/**
 * @param {ArrayBuffer} buffer
 * @return {Matrix}
 */
export function parseMatrix(buffer) {
  const [rows, columns, start, total, mark, written] =
    new Uint32Array(buffer, 0, 6);
  const expected = HEAD + 8 * columns + 4 * rows * columns;
  if (buffer.byteLength !== expected) {
    throw new RangeError(`${rows} x ${columns} matrix of ${expected} bytes `
      + `got ${buffer.byteLength}`);
  }
  const steps = new Float64Array(buffer, HEAD, columns);
  const values = new Float32Array(buffer, HEAD + 8 * columns, rows * columns);
  return {rows, columns, start, total, mark, written, steps, values};
}

/**
 * Returns a matrix with the columns of another one behind its own; the other
 * one alone where that begins anew.
 * @param {?Matrix} before
 * @param {Matrix} more
 * @return {Matrix}
 */
export function joined(before, more) {
  if (!before || more.start !== before.start + before.columns
      || more.rows !== before.rows || more.start === 0) return more;
  if (!more.columns) return {...before, total: more.total, mark: more.mark};
  const columns = before.columns + more.columns;
  const values = new Float32Array(before.rows * columns);
  for (let row = 0; row < before.rows; row++) {
    values.set(rowOf(before, row), row * columns);
    values.set(rowOf(more, row), row * columns + before.columns);
  }
  const steps = new Float64Array(columns);
  steps.set(before.steps);
  steps.set(more.steps, before.columns);
  return {...more, start: before.start, columns, steps, values};
}

/** Returns one row's values. */
export function rowOf({columns, values}, row) {
  return values.subarray(row * columns, (row + 1) * columns);
}

/**
 * Fetches what is new of a matrix, in as many parts as it takes.
 * @param {(url: string) => Promise<Response>} get
 * @param {string} route
 * @param {Object<string, string>} query
 * @param {?Matrix=} before what was fetched before
 * @return {Promise<Matrix>}
 */
export async function fetchMatrix(get, route, query, before = null) {
  let matrix = before;
  for (;;) {
    const more = matrix?.columns && matrix.mark
      ? {after: String(matrix.steps.at(-1)), mark: String(matrix.mark)} : {};
    const search = new URLSearchParams({...query, soon: '1', ...more});
    const part = parseMatrix(
      await (await get(`${route}?${search}`)).arrayBuffer());
    matrix = joined(matrix, part);
    // A part without columns ends it: what is left cannot be had.
    if (matrix.columns >= matrix.total || !part.columns) return matrix;
  }
}
