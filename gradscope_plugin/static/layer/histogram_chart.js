/** Histograms of one variable over time, on a signed log-magnitude axis. */

import {columnOf} from '../scales/axis.js';
import {makeAxis} from '../scales/step_axis.js';
import {ZERO, bucketText, decadesIn, rangeOf, rowsShown} from './buckets.js';
import {saveLines} from '../saving/save.js';
import {SEQUENTIAL} from '../scales/colormap.js';
import {contextOf, createFigure, drawXAxis, drawYAxis, placeLine}
  from './figure.js';
import {percent} from '../basics/format.js';

// Zero is a row of its own, and higher than the others.
const ZERO_ROWS = 3;

/** @param {{title: string, nameOf: () => string[]}} options */
export function createHistogramChart(options) {
  let matrix = null;
  let cursor = null;
  let pointed = null;
  const dom = createFigure({...options, onCsv: () => matrix
    && saveLines(linesOf(matrix), options.nameOf()), label: `${options.title}: `
    + 'share of the values by magnitude, one column per recorded histogram'});
  const draw = () => {
    if (matrix?.columns) drawHistograms(dom, matrix);
    if (matrix) tell(dom, matrix, cursor, pointed);
  };
  new ResizeObserver(draw).observe(dom.area);
  const point = (event) => {
    pointed = event && matrix?.columns
      ? cellUnder(event, dom.area, matrix) : null;
    if (matrix) tell(dom, matrix, cursor, pointed);
  };
  dom.area.addEventListener('pointermove', point);
  dom.area.addEventListener('pointerleave', () => point(null));
  return {
    node: dom.node,
    update(now) {
      matrix = now;
      dom.node.hidden = !now;
      dom.note.textContent = now ? sampledText(now) : '';
      draw();
    },
    drawCursor(now) {
      cursor = now;
      if (matrix) tell(dom, matrix, cursor, pointed);
    },
  };
}

// Histograms are TensorBoard's own, and `0` would empty its tab of them.
const ROUND = 1000;

/**
 * Returns how many histograms TensorBoard has sampled away, and what keeps
 * them; an empty text if it has not.
 * @param {{columns: number, written: number}} matrix
 */
export function sampledText({columns, written}) {
  if (written <= columns) return '';
  const enough = ROUND * Math.ceil(written / ROUND);
  const least = written >= ROUND ? 'at least ' : '';
  return `${columns} of ${least}${written} recorded histograms shown; `
    + 'TensorBoard sampled the others away: '
    + `tensorboard --samples_per_plugin=histograms=${enough} keeps them`;
}

/** Returns of each line of the picture its row of the matrix. */
function linesShown(matrix) {
  return rowsShown(rangeOf(matrix)).flatMap((row) =>
    row === ZERO ? Array(ZERO_ROWS).fill(row) : [row]);
}

function totals({rows, columns, values}) {
  const sums = new Float64Array(columns);
  for (let cell = 0; cell < rows * columns; cell++) {
    sums[cell % columns] += values[cell];
  }
  return sums;
}

function drawHistograms(dom, matrix) {
  const {context, width, height, density} = contextOf(dom.canvas);
  if (!width || !height) return;
  const lines = linesShown(matrix);
  const {columns, values} = matrix;
  const sums = totals(matrix);
  let most = 0;
  for (const row of new Set(lines)) {
    if (row === ZERO && lines.length > ZERO_ROWS) continue;
    for (let i = 0; i < columns; i++) {
      most = Math.max(most, values[row * columns + i] / sums[i] || 0);
    }
  }
  const [w, h] = [Math.round(width * density), Math.round(height * density)];
  const image = context.createImageData(w, h);
  const pixels = image.data;
  for (let y = 0; y < h; y++) {
    const row = lines[Math.floor(y * lines.length / h)];
    for (let x = 0; x < w; x++) {
      const column = Math.floor(x * columns / w);
      const share = values[row * columns + column] / sums[column];
      // What is not there stays empty, and a single value is seen.
      if (!(share > 0)) continue;
      const entry = 3 * Math.round(255 * Math.sqrt(Math.min(1, share / most)));
      pixels.set([SEQUENTIAL[entry], SEQUENTIAL[entry + 1],
        SEQUENTIAL[entry + 2], 255], 4 * (y * w + x));
    }
  }
  context.putImageData(image, 0, 0);
  drawYAxis(dom.yAxis, yLabels(matrix, lines.length));
  drawXAxis(dom.xAxis, makeAxis('columns', [matrix.steps]), [0, columns], width);
}

function yLabels(matrix, count) {
  const range = rangeOf(matrix);
  const middle = {text: '0', share: 0.5};
  if (!range) return [middle];
  const half = range.high - range.low;
  return decadesIn(range).flatMap(({exponent, place}) => {
    const share = (half - place) / count;
    // Beside zero there is no room for another label.
    return share > 0.44 ? [] : [{text: `1e${exponent}`, share},
      {text: `−1e${exponent}`, share: 1 - share}];
  }).concat(middle);
}

function cellUnder({clientX, clientY}, area, matrix) {
  const box = area.getBoundingClientRect();
  const lines = linesShown(matrix);
  const at = (offset, size, count) => Math.max(0, Math.min(count - 1,
    Math.floor(offset / size * count)));
  return {row: lines[at(clientY - box.top, box.height, lines.length)],
    column: at(clientX - box.left, box.width, matrix.columns)};
}

function tell(dom, matrix, cursor, pointed) {
  const {columns, steps, values} = matrix;
  if (!columns) return;
  const step = cursor?.step ?? steps.at(-1);
  const column = pointed?.column
    ?? (step >= steps[0] ? columnOf(steps, step) : null);
  placeLine(dom.line, column === null ? null : [column, column + 1],
    [0, columns]);
  if (column === null) {
    dom.atCursor.textContent = '';
    return;
  }
  const sum = totals(matrix)[column];
  const row = pointed?.row ?? ZERO;
  const count = values[row * columns + column];
  dom.atCursor.textContent = `step ${steps[column]}: ${bucketText(row)}: `
    + `${percent(count / sum || 0)} (${count} of ${sum})`;
}

function linesOf(matrix) {
  const {columns, steps, values} = matrix;
  const lines = [['bucket', ...Array.from(steps, String)]];
  for (const row of rowsShown(rangeOf(matrix))) {
    lines.push([bucketText(row), ...Array.from(
      values.subarray(row * columns, (row + 1) * columns), String)]);
  }
  return lines;
}
