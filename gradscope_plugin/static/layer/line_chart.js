/** Numbers of one layer over time. */

import {columnOf} from '../scales/axis.js';
import {saveLines} from '../saving/save.js';
import {seriesLines} from '../saving/csv.js';
import {element} from '../basics/dom.js';
import {contextOf, createFigure, drawXAxis, drawYAxis, placeLine}
  from './figure.js';
import {short, tidy} from '../basics/format.js';
import {fitDomain, makeScale} from '../scales/scale.js';
import {middleOf, placesOf} from '../scales/step_axis.js';
import {placesSeen} from '../scales/viewport.js';

/**
 * @param {{title: string, note?: string, scale: string, domain?: number[],
 *     band?: {from: number, to: number, label: string},
 *     nameOf: () => string[]}} options `band` is what is healthy
 */
export function createLineChart(options) {
  let data = null;
  let cursor = null;
  const dom = createFigure({...options, label: options.title,
    onCsv: () => data && saveLines(seriesLines(data.steps, data.series),
      options.nameOf())});
  const draw = () => {
    if (data) drawLines(dom, data, cursor, options);
  };
  new ResizeObserver(draw).observe(dom.area);
  return {
    node: dom.node,

    /** @param {{steps: Float64Array, zoom: Object, axis: Object,
     *     series: {name: string, label: string, values: Float32Array,
     *     color: string}[]}} now `color` is the name of a CSS variable */
    update(now) {
      data = now;
      dom.node.hidden = !now.series.length;
      draw();
    },
    drawCursor(now) {
      cursor = now;
      if (data) tell(dom, data, cursor);
    },
  };
}

/** Returns the scale that holds all numbers and the band. */
export function scaleOf(series, {scale, domain, band}) {
  const ends = band ? [Float32Array.of(band.from, band.to)] : [];
  const fitted = domain
    ?? fitDomain([...series.map(({values}) => values), ...ends], scale);
  return makeScale({scale, domain: fitted ?? (scale === 'log' ? [0.1, 1]
    : [0, 1])});
}

function drawLines(dom, data, cursor, options) {
  const {context, width, height} = contextOf(dom.canvas);
  if (!width || !height) return;
  const scale = scaleOf(data.series, options);
  const style = getComputedStyle(dom.area);
  const span = placesSeen(data.zoom, data.axis);
  const y = (value) => (1 - scale.position(value)) * height;
  const places = data.steps.map((step) => middleOf(data.axis, step));
  const x = (column) =>
    (places[column] - span[0]) / (span[1] - span[0]) * width;
  if (options.band) drawBand(context, options.band, {y, width, style});
  context.fillStyle = style.getPropertyValue('--border');
  const ticks = scale.ticks.filter((_, i, all) =>
    i % Math.ceil(all.length / 5) === 0);
  ticks.forEach((tick) => context.fillRect(0, Math.round(y(tick)), width, 1));
  for (const {values, color} of data.series) {
    context.strokeStyle = context.fillStyle = style.getPropertyValue(color);
    drawSeries(context, values, {x, width, height, y});
  }
  drawYAxis(dom.yAxis, ticks.map((tick) =>
    ({text: tidy(Number(tick.toPrecision(3))), share: y(tick) / height})));
  drawXAxis(dom.xAxis, data.axis, span, width);
  tell(dom, data, cursor);
}

function drawBand(context, {from, to, label}, {y, width, style}) {
  context.fillStyle = style.getPropertyValue('--band');
  context.fillRect(0, y(to), width, y(from) - y(to));
  context.fillStyle = style.getPropertyValue('--none');
  context.font = '11px sans-serif';
  context.textAlign = 'right';
  context.fillText(label, width - 4, y(from) - 4);
  context.textAlign = 'left';
}

/**
 * Draws a line. A gap is a number that is not finite, or zero on a log scale;
 * a tick at the top tells it from what was not recorded.
 * @param {CanvasRenderingContext2D} context
 * @param {Float32Array} values
 * @param {{x: (column: number) => number, width: number, height: number,
 *     y: (value: number) => number}} place
 */
export function drawSeries(context, values, {x: xOf, width, height, y}) {
  context.lineWidth = 1.5;
  context.beginPath();
  let isPen = false;
  for (let column = 0; column < values.length; column++) {
    const x = xOf(column);
    // Of what is not seen the columns beside it are enough.
    if (xOf(column + 1) < 0 || (column && xOf(column - 1) > width)) continue;
    const place = y(values[column]);
    if (!Number.isFinite(place)) {
      isPen = false;
      if (!Number.isFinite(values[column])) context.fillRect(x - 1, 0, 2, 4);
      continue;
    }
    const inside = Math.max(1, Math.min(height - 1, place));
    if (isPen) context.lineTo(x, inside);
    else context.moveTo(x, inside);
    // One step alone is a dot.
    if (!isPen && column + 1 === values.length) {
      context.fillRect(x - 2, inside - 2, 4, 4);
    }
    isPen = true;
  }
  context.stroke();
}

/** Writes the numbers at the cursor beside their colours. */
function tell(dom, {steps, series, zoom, axis}, cursor) {
  const step = cursor?.step ?? steps.at(-1);
  const column = steps.length && step >= steps[0]
    ? columnOf(steps, step) : null;
  dom.keys.replaceChildren(...series.map(({label, values, color}) => {
    const swatch = element('i', {className: 'swatch'});
    swatch.style.background = `var(${color})`;
    return element('span', {className: 'key'}, swatch, `${label} `,
      element('b', {}, column === null ? '' : short(values[column])));
  }));
  dom.note.textContent = column === null ? '' : `step ${steps[column]}`;
  const places = cursor && column !== null
    ? placesOf(axis, steps).subarray(column, column + 2) : null;
  placeLine(dom.line, places && [...places], placesSeen(zoom, axis));
}
