/** Histograms in half octaves, signed: which buckets to draw; pure. */

// As `gradscope.format.histogram_buckets`: 128 of negative values, zero, 128 positive.
export const PER_SIGN = 128;
export const ZERO = PER_SIGN;
const LOWEST = -48;

/** Returns the smaller magnitude of the i-th bucket of a sign. */
export function edgeOf(index) {
  return (1 + 0.5 * (index % 2)) * 2 ** (LOWEST + Math.floor(index / 2));
}

/**
 * Returns the magnitudes in use, of both signs and of all steps.
 * @param {{columns: number, values: Float32Array}} matrix 257 rows
 * @return {?{low: number, high: number}} buckets of a sign, `high` excluded;
 *     null where all is zero
 */
export function rangeOf({columns, values}) {
  const isUsed = (row) => {
    for (let cell = row * columns; cell < (row + 1) * columns; cell++) {
      if (values[cell]) return true;
    }
    return false;
  };
  const used = Array.from({length: PER_SIGN}, (_, i) => i)
    .filter((i) => isUsed(ZERO + 1 + i) || isUsed(ZERO - 1 - i));
  return used.length ? {low: used[0], high: used.at(-1) + 1} : null;
}

/**
 * Returns the rows to draw from top to bottom: large positive values, small
 * ones, zero, small negative ones, large ones.
 * @param {?{low: number, high: number}} range
 * @return {number[]} rows of the matrix
 */
export function rowsShown(range) {
  if (!range) return [ZERO];
  const {low, high} = range;
  const count = high - low;
  const up = Array.from({length: count}, (_, i) => ZERO + high - i);
  const down = Array.from({length: count}, (_, i) => ZERO - 1 - low - i);
  return [...up, ZERO, ...down];
}

/** Returns a bucket in words, as in `0.0039 to 0.0059`. */
export function bucketText(row) {
  if (row === ZERO) return 'exactly zero';
  const index = row > ZERO ? row - ZERO - 1 : ZERO - 1 - row;
  const sign = row > ZERO ? '' : '−';
  const [from, to] = [edgeOf(index), edgeOf(index + 1)]
    .map((edge) => sign + Number(edge.toPrecision(2)).toExponential());
  return `${from} to ${to}`;
}

/** Returns powers of ten to label: of each the place among a sign's buckets. */
export function decadesIn({low, high}) {
  const first = Math.ceil(Math.log10(edgeOf(low)));
  const last = Math.floor(Math.log10(edgeOf(high)));
  const stride = Math.max(1, Math.ceil((last - first) / 3));
  const ticks = [];
  for (let exponent = last; exponent >= first; exponent -= stride) {
    const octaves = exponent * Math.log2(10) - LOWEST;
    const half = octaves % 1 < Math.log2(1.5)
      ? (octaves % 1) / Math.log2(1.5) / 2
      : 0.5 + (octaves % 1 - Math.log2(1.5)) / (1 - Math.log2(1.5)) / 2;
    ticks.push({exponent, place: 2 * (Math.floor(octaves) + half) - low});
  }
  return ticks;
}
