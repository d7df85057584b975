/** What the server answers, for tests. */

/**
 * Returns a matrix in the bytes that `http_api.md` describes.
 * @param {number[]} steps
 * @param {number[][]} rows
 * @param {{start?: number, total?: number, mark?: number}=} head
 */
export function encode(steps, rows,
    {start = 0, total = start + steps.length, mark = 7} = {}) {
  const values = Float32Array.from(rows.flat());
  const buffer = new ArrayBuffer(24 + 8 * steps.length + 4 * values.length);
  new Uint32Array(buffer, 0, 6).set(
    [rows.length, steps.length, start, total, mark, 0]);
  new Float64Array(buffer, 24, steps.length).set(steps);
  new Float32Array(buffer, 24 + 8 * steps.length).set(values);
  return buffer;
}
