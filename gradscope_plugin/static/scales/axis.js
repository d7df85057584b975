/** Looks up cells of a grid: the column of a step, the cell that a key leads to,
 * and of some columns the one with the roundest step; pure. */

/** Returns the column between two whose step ends in most zeros. */
export function roundest(steps, from, to) {
  const middle = (from + to) / 2;
  let best = from;
  // The distance, below 1, only decides between equally round steps.
  const rank = (column) => 1000 * roundness(steps[column])
    - Math.abs(column - middle) / (to - from + 1);
  for (let column = from + 1; column <= to; column++) {
    if (rank(column) > rank(best)) best = column;
  }
  return best;
}

/** Twice the number of zeros at the end, one more for a five before them. */
function roundness(step) {
  let zeros = 0;
  let digits = step;
  while (digits > 0 && digits % 10 === 0) {
    digits /= 10;
    zeros += 1;
  }
  return 2 * zeros + (digits % 5 === 0 ? 1 : 0);
}

/** Returns the column of the last step at or before `step`, at least 0. */
export function columnOf(steps, step) {
  let low = 0;
  let high = steps.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (steps[middle] <= step) low = middle;
    else high = middle - 1;
  }
  return low;
}

/**
 * Returns the cell that a key leads to from another, null for other keys.
 * @param {string} key as in KeyboardEvent
 * @param {{row: number, column: number}} cell
 * @param {{rows: number, columns: number}} grid
 */
export function moved(key, {row, column}, {rows, columns}) {
  const page = Math.max(1, Math.round(columns / 10));
  const to = {
    ArrowLeft: [row, column - 1],
    ArrowRight: [row, column + 1],
    ArrowUp: [row - 1, column],
    ArrowDown: [row + 1, column],
    Home: [row, 0],
    End: [row, columns - 1],
    PageUp: [row, column - page],
    PageDown: [row, column + page],
  }[key];
  const clamp = (value, count) => Math.max(0, Math.min(count - 1, value));
  return to ? {row: clamp(to[0], rows), column: clamp(to[1], columns)} : null;
}
