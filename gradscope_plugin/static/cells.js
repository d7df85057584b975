/** Cells of a grid: which kind each one is, and which of many is shown. */

/** Kinds of cells. A NaN is never a small number, and a zero is not either. */
export const NUMBER = 0;
export const ZERO = 1;
export const NAN = 2;
export const INFINITE = 3;
/** The variable had no gradient in this step. */
export const MISSING = 4;
/** The variable was no part of this step, or nothing of it was recorded. */
export const ABSENT = 5;
/** The unit was zero for every example of a window. */
export const DEAD = 6;

/** In words, for the readout and the legend. */
export const KIND_NAMES = {
  [ZERO]: 'exactly zero',
  [NAN]: 'NaN',
  [INFINITE]: 'infinite',
  [MISSING]: 'no gradient',
  [ABSENT]: 'not recorded',
  [DEAD]: 'dead',
};

// Where many cells share a pixel the most abnormal one is drawn: one NaN in
// 5000 steps must not be averaged away.
const SEVERITY = {
  [ABSENT]: 0, [NUMBER]: 1, [MISSING]: 2, [ZERO]: 3, [DEAD]: 3, [NAN]: 4,
  [INFINITE]: 5,
};

/**
 * @param {Float32Array} values
 * @param {{missing: ?Float32Array, ofGradient: boolean,
 *     zeroIsSpecial: boolean, optional: (boolean|undefined)}} options
 *     `missing` holds `gradient_missing` of the same cells; where a statistic
 *     is `optional`, a NaN says that there is none
 * @return {Uint8Array} the kind of each cell
 */
export function classify(values, options) {
  const {missing, ofGradient, zeroIsSpecial, optional} = options;
  const kindOf = (value, cell) => {
    if (Number.isNaN(value)) {
      if (missing && Number.isNaN(missing[cell])) return ABSENT;
      if (missing && ofGradient && missing[cell] === 1) return MISSING;
      return optional ? ABSENT : NAN;
    }
    if (!Number.isFinite(value)) return INFINITE;
    return zeroIsSpecial && value === 0 ? ZERO : NUMBER;
  };
  // Uint8Array.from takes 300 ms for the million cells of 200 layers x 5000.
  const kinds = new Uint8Array(values.length);
  for (let cell = 0; cell < values.length; cell++) {
    kinds[cell] = kindOf(values[cell], cell);
  }
  return kinds;
}

/**
 * Chooses the cells to draw when there are more columns than pixels: of each
 * row and pixel the most abnormal kind, and among numbers the one furthest
 * from the middle of the scale.
 * @param {{rows: number, columns: number, values: Float32Array,
 *     kinds: Uint8Array}} grid row-major
 * @param {number} pixels
 * @param {(value: number) => number} position of the scale
 * @return {{bins: number, source: Int32Array}} the column of each row and bin
 */
export function thin({rows, columns, values, kinds}, pixels, position) {
  const bins = Math.min(columns, Math.max(1, Math.floor(pixels)));
  const source = new Int32Array(rows * bins);
  const weight = (cell) => kinds[cell] === NUMBER
    ? 1 + Math.min(0.9, Math.abs(position(values[cell]) - 0.5))
    : SEVERITY[kinds[cell]];
  for (let row = 0; row < rows; row++) {
    for (let bin = 0; bin < bins; bin++) {
      const from = Math.floor(bin * columns / bins);
      const to = Math.floor((bin + 1) * columns / bins);
      let best = from;
      for (let column = from + 1; column < to; column++) {
        const cell = row * columns + column;
        if (weight(cell) > weight(row * columns + best)) best = column;
      }
      source[row * bins + bin] = best;
    }
  }
  return {bins, source};
}

/**
 * Counts the numbers of grids outside a scale. Zero is below each log scale,
 * where it has no mark of its own its first colour says what it is.
 * @return {{below: number, above: number, numbers: number}}
 */
export function outside(grids, {kind, domain: [low, high]}) {
  const count = {below: 0, above: 0, numbers: 0};
  for (const {values, kinds} of grids) {
    values.forEach((value, cell) => {
      if (kinds[cell] !== NUMBER) return;
      count.numbers += 1;
      if (value < low && (value || kind !== 'log')) count.below += 1;
      if (value > high) count.above += 1;
    });
  }
  return count;
}
