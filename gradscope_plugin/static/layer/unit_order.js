/** Orders of the units of a layer: as they are, or by when they died; pure. */

/**
 * Returns rows by their last activity: what was silent first comes first.
 * @param {{rows: number, columns: number}} grid
 * @param {?{fired: Float32Array}} silence steps in which units fired last
 * @return {number[]}
 */
export function byLastActivity({rows, columns}, silence) {
  const order = Array.from({length: rows}, (_, row) => row);
  if (!silence) return order;
  // A unit that never was above zero has no such step.
  const last = (row) => {
    const step = silence.fired[(row + 1) * columns - 1];
    return Number.isNaN(step) ? -1 : step;
  };
  return order.sort((a, b) => last(a) - last(b) || a - b);
}

/** Returns a grid with its rows in another order. */
export function reordered(grid, order) {
  const {columns} = grid;
  const take = (from) => {
    const to = new from.constructor(from.length);
    order.forEach((row, place) => to.set(
      from.subarray(row * columns, (row + 1) * columns), place * columns));
    return to;
  };
  return {...grid, values: take(grid.values), kinds: take(grid.kinds),
    named: order.map((row) => grid.named[row])};
}
