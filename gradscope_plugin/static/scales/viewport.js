/** Which part of a heatmap is seen: zoom and pan as arithmetic; pure. */

// Zoomed in on less than these, cells are larger than anybody needs.
const LEAST_COLUMNS = 4;
const LEAST_ROWS = 0.01;

/**
 * What is seen, the same in all heatmaps: `steps` from one to another, and
 * `rows` as shares of the height; null is all.
 * @typedef {{steps: ?number[], rows: ?number[]}} Zoom
 */

/** @type {Zoom} */
export const WHOLE = {steps: null, rows: null};

/**
 * Returns the place of a step among columns: `i` where column i begins.
 * Between two recorded steps it is in proportion.
 * @param {ArrayLike<number>} steps increasing
 */
export function toColumn(steps, step) {
  const last = steps.length - 1;
  if (last < 1 || step <= steps[0]) return step - (steps[0] ?? 0);
  if (step >= steps[last]) return last + (step - steps[last]) / gapAtEnd(steps);
  let low = 0;
  let high = last;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (steps[middle] <= step) low = middle;
    else high = middle;
  }
  return low + (step - steps[low]) / (steps[high] - steps[low]);
}

/** Returns the step at a place among columns; `toColumn` backwards. */
export function toStep(steps, column) {
  const last = steps.length - 1;
  if (last < 1 || column <= 0) return (steps[0] ?? 0) + column;
  if (column >= last) return steps[last] + (column - last) * gapAtEnd(steps);
  const low = Math.floor(column);
  return steps[low] + (column - low) * (steps[low + 1] - steps[low]);
}

function gapAtEnd(steps) {
  return steps[steps.length - 1] - steps[steps.length - 2];
}

/**
 * Returns the columns that are seen, as places.
 * @param {Zoom} zoom
 * @return {number[]} at least a column of what there is
 */
export function columnsSeen({steps: range}, steps) {
  if (!range) return [0, steps.length];
  const [from, to] = range.map((step) => toColumn(steps, step));
  const start = Math.max(0, Math.min(from, steps.length - 1));
  return [start, Math.max(start + 1, Math.min(to, steps.length))];
}

/** Returns the heights that are seen, of all of them. */
export function heightsSeen({rows}, total) {
  return (rows ?? [0, 1]).map((share) => share * total);
}

/**
 * Returns a range made smaller by a factor around a place in it, or larger.
 * @param {number[]} range
 * @param {number} at
 * @param {number} factor below 1 zooms in
 * @param {number[]} limit what there is
 * @param {number} least its smallest length
 * @return {?number[]} null where that is all
 */
export function zoomed([from, to], at, factor, [low, high], least) {
  const length = Math.max(least, (to - from) * factor);
  if (length >= high - low) return null;
  const start = at - (at - from) * length / (to - from);
  return shifted([start, start + length], 0, [low, high]);
}

/**
 * Returns a range moved, but not beyond what there is.
 * @param {number[]} range
 * @param {number} by
 * @param {number[]} limit
 */
export function shifted([from, to], by, [low, high]) {
  const length = Math.min(to - from, high - low);
  const start = Math.max(low, Math.min(high - length, from + by));
  return [start, start + length];
}

/**
 * Returns a zoom with fewer or more columns around a place among them.
 * @param {Zoom} zoom
 * @return {Zoom}
 */
export function zoomSteps(zoom, steps, at, factor) {
  const range = zoomed(columnsSeen(zoom, steps), at, factor,
    [0, steps.length], Math.min(LEAST_COLUMNS, steps.length));
  return {...zoom, steps: range && range.map((c) => toStep(steps, c))};
}

/** Returns a zoom moved by so many columns. */
export function panSteps(zoom, steps, by) {
  if (!zoom.steps) return zoom;
  const range = shifted(columnsSeen(zoom, steps), by, [0, steps.length]);
  return {...zoom, steps: range.map((c) => toStep(steps, c))};
}

/**
 * Returns a zoom with fewer or more rows around a share of the height.
 * @param {Zoom} zoom
 * @param {number} at
 * @param {number} factor
 * @param {number[]=} seen shares that are seen, of rows that scroll some
 */
export function zoomRows(zoom, at, factor, seen = zoom.rows ?? [0, 1]) {
  if (!zoom.rows && factor > 1) return zoom;
  return {...zoom, rows: zoomed(seen, at, factor, [0, 1], LEAST_ROWS)};
}

/** Returns a zoom moved by a share of the height. */
export function panRows(zoom, by) {
  return zoom.rows ? {...zoom, rows: shifted(zoom.rows, by, [0, 1])} : zoom;
}

/** Returns a zoom moved as little as it takes to see a cell. */
export function including(zoom, steps, column, share) {
  let seen = zoom;
  if (zoom.steps) {
    const [from, to] = columnsSeen(zoom, steps);
    const by = Math.min(0, column - from) || Math.max(0, column + 1 - to);
    seen = by ? panSteps(seen, steps, by) : seen;
  }
  if (zoom.rows) {
    const [from, to] = zoom.rows;
    const margin = (to - from) / 20;
    const by = Math.min(0, share - margin - from)
      || Math.max(0, share + margin - to);
    seen = by ? panRows(seen, by) : seen;
  }
  return seen;
}
