/** The axis of steps that all heatmaps and charts have in common; pure. */

import {roundest} from './axis.js';

/** Steps as far apart as they are, or one column for each recorded step. */
export const KINDS = ['linear', 'columns'];

// Zoomed in on fewer columns, they are wider than anybody needs.
const LEAST = 4;

// More changes of the distance of steps than these are not marked.
const MOST_CHANGES = 4;

/**
 * Where steps lie: `place` of a step from 0 to `length`, `step` at a place,
 * `last` the last recorded step, `least` the smallest part to zoom in on.
 * @typedef {{kind: string, steps: Float64Array, length: number, last: number,
 *     least: number, place: (step: number) => number,
 *     step: (place: number) => number}} StepAxis
 */

/**
 * @param {string} kind of `KINDS`
 * @param {ArrayLike<number>[]} lists steps of all that has this axis, increasing
 * @return {StepAxis}
 */
export function makeAxis(kind, lists) {
  const steps = union(lists);
  const least = (length) => Math.min(LEAST * smallestGap(steps), length);
  if (kind === 'columns') {
    const length = Math.max(1, steps.length);
    return {kind, steps, length, last: steps.at(-1) ?? 0,
      least: Math.min(LEAST, length),
      place: (step) => toColumn(steps, step),
      step: (place) => toStep(steps, place)};
  }
  const first = steps[0] ?? 0;
  const end = Math.max(first + 1, ...lists.map(endOf));
  return {kind, steps, length: end - first, last: steps.at(-1) ?? 0,
    least: least(end - first),
    place: (step) => step - first, step: (place) => place + first};
}

/** Returns all steps of some lists, once each. */
function union(lists) {
  const longest = [...lists].sort((a, b) => b.length - a.length)[0] ?? [];
  const steps = new Set(longest);
  const added = lists.flatMap((list) =>
    list === longest ? []
      : Array.from(list).filter((step) => !steps.has(step)));
  if (!added.length) return Float64Array.from(longest);
  added.forEach((step) => steps.add(step));
  return Float64Array.from(steps).sort();
}

function smallestGap(steps) {
  let gap = Infinity;
  for (let i = 1; i < steps.length; i++) {
    gap = Math.min(gap, steps[i] - steps[i - 1]);
  }
  return Number.isFinite(gap) ? gap : 1;
}

/** Returns where the last step of a list ends, as long as the one before. */
function endOf(steps) {
  const last = steps.length - 1;
  if (last < 0) return -Infinity;
  return steps[last] + (last ? steps[last] - steps[last - 1] : 1);
}

/** Returns the places between the columns of a grid, one more than these. */
export function placesOf(axis, steps) {
  const places = new Float64Array(steps.length + 1);
  for (let i = 0; i < steps.length; i++) places[i] = axis.place(steps[i]);
  const last = steps.length - 1;
  places[steps.length] = axis.kind === 'columns'
    ? Math.floor(axis.place(steps[last])) + 1
    : Math.min(axis.length, axis.place(endOf(steps)));
  return places;
}

/** Returns the middle of a step's column, or the step itself if linear. */
export function middleOf(axis, step) {
  return axis.place(step) + (axis.kind === 'columns' ? 0.5 : 0);
}

/**
 * Returns the steps to label: the first and the last that are seen, and round
 * ones between them.
 * @param {StepAxis} axis
 * @param {number[]} span places
 * @param {number} width in pixels
 * @param {number=} gap least distance of two labels in pixels
 * @return {number[]}
 */
export function ticksOf(axis, [from, to], width, gap = 80) {
  if (axis.kind === 'columns') {
    return ticksOfColumns(axis.steps.subarray(
      Math.floor(from), Math.ceil(to)), width, gap);
  }
  const first = Math.ceil(axis.step(from) - 1e-9) || 0;
  const last = Math.min(axis.last, Math.floor(axis.step(to) + 1e-9));
  if (last <= first) return [first];
  const perStep = width / (to - from);
  const unit = roundUnit(gap / perStep);
  const ticks = [first];
  for (let step = Math.ceil(first / unit) * unit; step < last; step += unit) {
    // The first and the last step have labels in any case, which others must not
    // overlap.
    if ((step - first) * perStep < gap * 0.6) continue;
    if ((last - step) * perStep < gap * 0.7) break;
    ticks.push(step);
  }
  return [...ticks, last];
}

/** Returns the smallest of 1, 2, 5, 10, … that is no smaller. */
function roundUnit(least) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, least)));
  return power * ([1, 2, 5].find((unit) => unit * power >= least) ?? 10);
}

function ticksOfColumns(steps, width, gap) {
  const last = steps.length - 1;
  if (last <= 0) return [...steps];
  const intervals = Math.max(1, Math.min(last, Math.floor(width / gap)));
  // A quarter to each side: neighbours stay apart, whichever columns are chosen.
  const reach = Math.floor(last / intervals / 4);
  const columns = [0];
  for (let n = 1; n < intervals; n++) {
    const center = Math.round(n * last / intervals);
    columns.push(roundest(steps, center - reach, center + reach));
  }
  return [...columns, last].map((column) => steps[column]);
}

/**
 * Returns where the distance of columns changes, as it does after the first 50
 * steps by default.
 * @param {StepAxis} axis
 * @return {{place: number, interval: number}[]} none if there are too many
 */
export function changesOf({kind, steps}) {
  const changes = [];
  for (let i = 1; kind === 'columns' && i < steps.length; i++) {
    const interval = steps[i] - steps[i - 1];
    if (interval === changes.at(-1)?.interval) continue;
    if (changes.length > MOST_CHANGES) return [];
    changes.push({place: i === 1 ? 0 : i, interval});
  }
  return changes;
}

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
