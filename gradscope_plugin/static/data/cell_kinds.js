/** Cells of a grid: which kind each one is; pure. */

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
/** A number beyond an end of the scale: drawn so, but no kind of its own. */
export const BELOW = 7;
export const ABOVE = 8;

/** In words, for the readout and the legend. */
export const KIND_NAMES = {
  [ZERO]: 'exactly zero',
  [NAN]: 'NaN',
  [INFINITE]: 'infinite',
  [MISSING]: 'no gradient',
  [ABSENT]: 'not recorded',
  [DEAD]: 'dead',
  [BELOW]: 'below the scale',
  [ABOVE]: 'above the scale',
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
  // No `Uint8Array.from`, which is far slower with a million cells.
  const kinds = new Uint8Array(values.length);
  for (let cell = 0; cell < values.length; cell++) {
    kinds[cell] = kindOf(values[cell], cell);
  }
  return kinds;
}

// Of each grid: a million cells take a millisecond.
const present = new WeakMap();

/**
 * Returns the kinds of a grid's cells that are no number, in their order.
 * @param {{kinds: Uint8Array}} grid
 * @return {number[]}
 */
export function kindsIn(grid) {
  if (!present.has(grid)) {
    const kinds = new Uint8Array(ABOVE + 1);
    for (const kind of grid.kinds) kinds[kind] = 1;
    present.set(grid, [...kinds.keys()].filter((kind) =>
      kinds[kind] && kind !== NUMBER));
  }
  return present.get(grid);
}

/**
 * Counts the numbers of grids outside a scale. Zero is below each log scale,
 * where it has no mark of its own its first colour says what it is.
 * @param {Object[]} grids
 * @param {{kind: string, domain: number[]}} scale
 * @return {{below: number, above: number, numbers: number}}
 */
export function outside(grids, scale) {
  const count = {below: 0, above: 0, numbers: 0};
  for (const grid of grids) {
    const counts = outsideOf(grid, scale);
    count.below += counts.below;
    count.above += counts.above;
    count.numbers += counts.numbers;
  }
  return count;
}

// What was counted last of a grid: the page is drawn with each answer, and
// would count all cells each time.
const counted = new WeakMap();

/**
 * @param {{values: Float32Array, kinds: Uint8Array}} grid
 * @param {{kind: string, domain: number[]}} scale
 */
function outsideOf(grid, {kind, domain: [low, high]}) {
  const last = counted.get(grid);
  const key = `${kind} ${low} ${high}`;
  if (last?.key === key) return last;
  const {values, kinds} = grid;
  const counts = {key, below: 0, above: 0, numbers: 0};
  for (let cell = 0; cell < values.length; cell++) {
    if (kinds[cell] !== NUMBER) continue;
    const value = values[cell];
    counts.numbers += 1;
    if (value < low && (value || kind !== 'log')) counts.below += 1;
    if (value > high) counts.above += 1;
  }
  counted.set(grid, counts);
  return counts;
}
