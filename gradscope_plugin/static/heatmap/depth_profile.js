/** Value against depth at one step, on the rows of the heatmap beside it. */

import {KIND_NAMES, NUMBER} from '../data/cell_kinds.js';
import {columnOf} from '../scales/axis.js';

const EDGE = 8;
const DOT = 2.5;

// A kind of rows with fewer of them has no curve of its own.
const LEAST = 3;

/** Of the curves of a run, in this order: how they are dashed. */
export const DASHES = [[], [6, 3], [2, 2], [8, 3, 2, 3]];

/**
 * One run's values at a step.
 * @typedef {{run: string, color: string, isOwn: boolean,
 *     points: {row: number, value: number, kind: number,
 *     group: string}[]}} Profile
 */

/**
 * Returns whether the rows of a statistic have no depth: units and data.
 * @param {{rows?: string}} description
 */
export function hasNoFlow({rows}) {
  return rows === 'units' || rows === 'data';
}

/**
 * Returns the values of a grid at a step, in the rows of another grid: that of
 * the same name, or where the models have other names, at the same depth.
 * @param {{named: {name: string}[]}} rows whose rows to use
 * @param {Object} grid
 * @param {number} step
 * @return {{row: number, value: number, kind: number, group: string}[]} in
 *     order of rows
 */
export function profileOf(rows, grid, step) {
  if (!grid.columns || step < grid.steps[0]) return [];
  const column = columnOf(grid.steps, step);
  const rowNumbers = indexOf(rows);
  const same = rows === grid ? grid.rows
    : grid.named.filter(({name}) => rowNumbers.has(name)).length;
  const byName = same * 2 >= grid.rows;
  const scale = (rows.named.length - 1) / Math.max(1, grid.rows - 1);
  return grid.named.flatMap(({name, kind: group = ''}, index) => {
    const row = byName ? rowNumbers.get(name) : index * scale;
    const cell = index * grid.columns + column;
    return row === undefined ? []
      : [{row, value: grid.values[cell], kind: grid.kinds[cell], group}];
  });
}

/**
 * Returns the curves of a profile: one for each kind of rows, since a line
 * through kernels and normalizations in turn would zigzag. A kind of which there
 * are few is part of the largest.
 * @param {{group: string}[]} points
 * @return {{group: string, points: any[]}[]} the largest first
 */
export function curvesOf(points) {
  const groups = new Map();
  for (const point of points) {
    groups.set(point.group, [...groups.get(point.group) ?? [], point]);
  }
  const sorted = [...groups.keys()].sort(
    (a, b) => groups.get(b).length - groups.get(a).length);
  const withCurve = sorted.filter((group, index) => index === 0
    || (groups.get(group).length >= LEAST && index < DASHES.length));
  const curveOf = (group) => (withCurve.includes(group) ? group : withCurve[0]);
  return withCurve.map((group) => ({group,
    points: points.filter((point) => curveOf(point.group) === group)}));
}

// A grid's names do not change, and are looked up with each move.
const indices = new WeakMap();

function indexOf(grid) {
  if (!indices.has(grid)) {
    indices.set(grid, new Map(grid.named.map(({name}, row) => [name, row])));
  }
  return indices.get(grid);
}

/**
 * Draws profiles, that of the heatmap's own run above the others.
 * @param {HTMLCanvasElement} canvas
 * @param {Profile[]} profiles
 * @param {{scale: Object, yOf: (row: number) => number, density: number,
 *     colors: {grid: string, ink: string}}} options `yOf` in
 *     pixels of the page
 */
export function drawFlow(canvas, profiles, {scale, yOf, density, colors}) {
  const context = canvas.getContext('2d');
  const [width, height] = [canvas.width / density, canvas.height / density];
  context.setTransform(density, 0, 0, density, 0, 0);
  context.clearRect(0, 0, width, height);
  const xOf = (value) => EDGE
    + (width - 2 * EDGE) * Math.max(0, Math.min(1, scale.position(value)));
  context.fillStyle = colors.grid;
  for (const tick of scale.ticks) {
    context.fillRect(Math.round(xOf(tick)), 0, 1, height);
  }
  const ownLast = [...profiles].sort(
    (a, b) => Number(a.isOwn) - Number(b.isOwn));
  ownLast.forEach((profile) => drawProfile(context, profile,
    {xOf, yOf, height, colors}));
}

function drawProfile(context, profile, place) {
  curvesOf(profile.points).forEach(({points}, index) => {
    context.setLineDash(DASHES[index]);
    const isDotted = profile.points.length * 7 < place.height;
    drawCurve(context, {...profile, points, isDotted}, place, index);
    context.setLineDash([]);
  });
}

function drawCurve(context, {points, color, isOwn, isDotted}, place, index) {
  const {xOf, yOf, height, colors} = place;
  context.lineWidth = isOwn ? 2 : 1;
  context.strokeStyle = context.fillStyle = color;
  context.globalAlpha = isOwn ? 1 : 0.75;
  context.beginPath();
  let isPen = false;
  for (const {row, value, kind} of points) {
    if (kind !== NUMBER) {
      isPen = false;
      continue;
    }
    const [x, y] = [xOf(value), yOf(row)];
    if (isPen) context.lineTo(x, y);
    else context.moveTo(x, y);
    isPen = true;
  }
  context.stroke();
  context.globalAlpha = 1;
  if (!isOwn) return;
  for (const {row, value, kind} of points) {
    const y = yOf(row);
    if (y < 0 || y > height) continue;
    if (kind !== NUMBER) drawGap(context, kind, y, colors);
    else if (isDotted) mark(context, xOf(value), y, index);
  }
}

/** Draws a point: a disc, of other curves a square. */
function mark(context, x, y, index) {
  context.beginPath();
  if (index) context.rect(x - DOT, y - DOT, 2 * DOT, 2 * DOT);
  else context.arc(x, y, DOT, 0, 2 * Math.PI);
  context.fill();
}

/** A zero, or what is no number, stands at the edge under its own sign. */
function drawGap(context, kind, y, {ink}) {
  const sign = {'exactly zero': '0', 'NaN': '×', 'infinite': '∞'};
  const fill = context.fillStyle;
  context.fillStyle = ink;
  context.font = '10px sans-serif';
  context.textBaseline = 'middle';
  context.fillText(sign[KIND_NAMES[kind]] ?? '·', 0, y);
  context.fillStyle = fill;
}
