/** Which part of a heatmap is seen: zoom and pan as arithmetic; pure. */

// Zoomed in on less than this, cells are larger than anybody needs.
const LEAST_ROWS = 0.01;

/**
 * What is seen, the same in all heatmaps: `steps` from one to another, and
 * `rows` as shares of the height; null is all.
 * @typedef {{steps: ?number[], rows: ?number[]}} Zoom
 */

/** @type {Zoom} */
export const WHOLE = {steps: null, rows: null};

/**
 * Returns the visible part of the axis of steps, as two places.
 * @param {Zoom} zoom
 * @param {import('./step_axis.js').StepAxis} axis
 * @return {number[]} some of what there is
 */
export function placesSeen({steps: range}, axis) {
  if (!range) return [0, axis.length];
  const [from, to] = range.map((step) => axis.place(step));
  const least = Math.min(axis.least / 4, axis.length);
  const start = Math.max(0, Math.min(from, axis.length - least));
  return [start, Math.max(start + least, Math.min(to, axis.length))];
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
 * Returns a zoom on fewer or more steps around a place.
 * @param {Zoom} zoom
 * @param {import('./step_axis.js').StepAxis} axis
 * @return {Zoom}
 */
export function zoomSteps(zoom, axis, at, factor) {
  const range = zoomed(placesSeen(zoom, axis), at, factor, [0, axis.length],
    axis.least);
  return {...zoom, steps: range && range.map((place) => axis.step(place))};
}

/** Returns a zoom moved by so many places. */
export function panSteps(zoom, axis, by) {
  if (!zoom.steps) return zoom;
  const range = shifted(placesSeen(zoom, axis), by, [0, axis.length]);
  return {...zoom, steps: range.map((place) => axis.step(place))};
}

/**
 * Returns a zoom with fewer or more rows around a share of the height.
 * @param {Zoom} zoom
 * @param {number} at
 * @param {number} factor
 * @param {number[]=} range shares that are seen, of rows that scroll some
 */
export function zoomRows(zoom, at, factor, range = zoom.rows ?? [0, 1]) {
  if (!zoom.rows && factor > 1) return zoom;
  return {...zoom, rows: zoomed(range, at, factor, [0, 1], LEAST_ROWS)};
}

/** Returns a zoom moved by a share of the height. */
export function panRows(zoom, by) {
  return zoom.rows ? {...zoom, rows: shifted(zoom.rows, by, [0, 1])} : zoom;
}

/** Returns a zoom moved as little as it takes to see a column, from one place
 * to another, and a share of the height. */
export function including(zoom, axis, [left, right], share) {
  let moved = zoom;
  if (zoom.steps) {
    const [from, to] = placesSeen(zoom, axis);
    const by = Math.min(0, left - from) || Math.max(0, right - to);
    moved = by ? panSteps(moved, axis, by) : moved;
  }
  if (zoom.rows) {
    const [from, to] = zoom.rows;
    const margin = (to - from) / 20;
    const by = Math.min(0, share - margin - from)
      || Math.max(0, share + margin - to);
    moved = by ? panRows(moved, by) : moved;
  }
  return moved;
}
