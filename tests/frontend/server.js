/** What the server answers, for tests. */

/** Returns a matrix in the bytes that `http_api.md` describes. */
export function encode(steps, rows) {
  const values = Float32Array.from(rows.flat());
  const buffer = new ArrayBuffer(8 + 8 * steps.length + 4 * values.length);
  new Uint32Array(buffer, 0, 2).set([rows.length, steps.length]);
  new Float64Array(buffer, 8, steps.length).set(steps);
  new Float32Array(buffer, 8 + 8 * steps.length).set(values);
  return buffer;
}
