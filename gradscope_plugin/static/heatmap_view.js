/** One run's heatmap with its names, axis and cursor. */

import {columnOf, isEven, labelledRows, rowHeight, tickColumns} from './axis.js';
import {thin} from './cells.js';
import {element} from './dom.js';
import {shorten} from './format.js';
import {drawGrid} from './heatmap.js';

const HELP = 'Arrow keys move the cursor, Home and End go to the first and '
  + 'last step, Page Up and Page Down move by a tenth of the steps.';

/**
 * @param {(cursor: {run: string, row: number, column: number}, byKey: boolean)
 *     => void} onCursor
 * @return {{node: Element, update: Function, showCursor: Function}}
 */
export function createHeatmap(onCursor) {
  const dom = build();
  let shown = null;
  let chosen = null;

  const point = (event) => {
    if (!shown?.grid) return;
    const box = dom.cells.getBoundingClientRect();
    const {rows} = shown.grid;
    const part = (offset, size, count) => Math.max(0, Math.min(count - 1,
      Math.floor(offset / size * count)));
    const row = part(event.clientY - box.top, box.height, rows);
    const bin = part(event.clientX - box.left, box.width, chosen.bins);
    const column = chosen.source[row * chosen.bins + bin];
    onCursor({run: shown.run.name, row, column}, false);
  };
  dom.cells.addEventListener('pointermove', point);
  dom.cells.addEventListener('pointerdown', point);
  dom.cells.addEventListener('keydown', (event) => {
    const moved = shown?.grid && move(event, shown.grid, shown.cursor);
    if (!moved) return;
    event.preventDefault();
    onCursor({run: shown.run.name, ...moved}, true);
  });
  dom.cells.addEventListener('focus', () => {
    if (!shown?.grid || !dom.cells.matches(':focus-visible')) return;
    onCursor({run: shown.run.name, ...here(shown.grid, shown.cursor)}, true);
  });

  function draw() {
    const width = dom.cells.clientWidth;
    // A hidden tab has no width; the observer calls again when it has one.
    if (!shown?.grid?.rows || width === 0) return;
    const {grid, look} = shown;
    chosen = thin(grid, width, look.position);
    const scale = window.devicePixelRatio || 1;
    dom.canvas.width = Math.round(width * scale);
    dom.canvas.height = Math.round(grid.rows * rowHeight(grid.rows) * scale);
    drawGrid(dom.canvas, grid, chosen, look);
    drawAxis(dom.axis, grid.steps, width);
    placeCursor(dom, shown);
  }
  new ResizeObserver(draw).observe(dom.cells);

  return {
    node: dom.node,

    /** Shows a grid, or a message instead of it. */
    update({run, label, color, caption, grid, message, look, cursor}) {
      shown = {run, grid, look, cursor};
      dom.dot.style.background = color;
      dom.name.textContent = label;
      dom.caption.textContent = caption;
      dom.message.textContent = message;
      dom.message.hidden = !message;
      dom.plot.hidden = !grid?.rows;
      if (!grid?.rows) return;
      drawNames(dom, grid);
      dom.cells.setAttribute('aria-label', `${label}: ${caption}. `
        + `${grid.rows} rows, ${grid.columns} recorded steps. ${HELP}`);
      draw();
    },

    /** Shows `{run, row, column, step}`; in other runs only its step. */
    showCursor(cursor) {
      if (!shown) return;
      shown.cursor = cursor;
      placeCursor(dom, shown);
    },
  };
}

/*
 * <section class="heatmap">
 *   <h2><span class="dot"></span><b>run</b> <small>caption</small></h2>
 *   <p class="message"></p>
 *   <div class="plot">
 *     <div class="names"><span>dense_1</span>…</div>
 *     <div class="cells" tabindex="0"><canvas></canvas><i/><i/></div>
 *     <div class="axis"><span>step 0</span>…</div>
 *   </div>
 * </section>
 */
function build() {
  const dom = {
    dot: element('span', {className: 'dot'}),
    name: element('b'),
    caption: element('small'),
    message: element('p', {className: 'message'}),
    names: element('div', {className: 'names', 'aria-hidden': 'true'}),
    canvas: element('canvas'),
    line: element('i', {className: 'line', hidden: true}),
    box: element('i', {className: 'box', hidden: true}),
    axis: element('div', {className: 'axis', 'aria-hidden': 'true'}),
  };
  // Not "img" or "grid": screen readers would keep the arrow keys of these
  // to themselves.
  dom.cells = element('div', {className: 'cells', tabIndex: 0,
    role: 'application', 'aria-roledescription': 'heatmap'},
  dom.canvas, dom.line, dom.box);
  dom.plot = element('div', {className: 'plot'},
    dom.names, dom.cells, dom.axis);
  dom.node = element('section', {className: 'heatmap'},
    element('h2', {}, dom.dot, dom.name, ' ', dom.caption),
    dom.message, dom.plot);
  return dom;
}

function drawNames(dom, grid) {
  const height = rowHeight(grid.rows);
  dom.plot.style.setProperty('--height', `${grid.rows * height}px`);
  dom.names.replaceChildren(...labelledRows(grid.rows, height).map((row) => {
    const {name} = grid.named[row];
    const label = element('span', {title: name}, shorten(name));
    label.style.top = `${(row + 0.5) * height}px`;
    return label;
  }));
}

function drawAxis(axis, steps, width) {
  const columns = tickColumns(steps, width);
  const labels = columns.map((column, index) => {
    const text = index ? String(steps[column]) : `step ${steps[column]}`;
    const label = element('span', {}, text);
    label.style.left = `${100 * (column + 0.5) / steps.length}%`;
    return label;
  });
  labels[0].classList.add('first');
  if (labels.length > 1) labels.at(-1).classList.add('last');
  const uneven = element('em', {}, 'one column per recorded step');
  uneven.hidden = isEven(steps);
  axis.replaceChildren(...labels, uneven);
}

/** Returns the cursor's cell in this grid: where it is, or the last step. */
function here(grid, cursor) {
  if (!cursor) return {row: 0, column: grid.columns - 1};
  return {
    row: Math.min(cursor.row, grid.rows - 1),
    column: columnOf(grid.steps, cursor.step),
  };
}

/** Returns the cell that a key leads to, null for other keys. */
function move(event, grid, cursor) {
  if (event.ctrlKey || event.altKey || event.metaKey) return null;
  const {row, column} = here(grid, cursor);
  const page = Math.max(1, Math.round(grid.columns / 10));
  const clamp = (value, count) => Math.max(0, Math.min(count - 1, value));
  const to = {
    ArrowLeft: [row, column - 1],
    ArrowRight: [row, column + 1],
    ArrowUp: [row - 1, column],
    ArrowDown: [row + 1, column],
    Home: [row, 0],
    End: [row, grid.columns - 1],
    PageUp: [row, column - page],
    PageDown: [row, column + page],
  }[event.key];
  return to && {row: clamp(to[0], grid.rows), column: clamp(to[1], grid.columns)};
}

function placeCursor(dom, {run, grid, cursor}) {
  dom.line.hidden = !cursor;
  dom.box.hidden = cursor?.run !== run.name;
  if (!cursor || !grid?.rows) return;
  const {row, column} = here(grid, cursor);
  const left = `${100 * column / grid.columns}%`;
  const width = `${100 / grid.columns}%`;
  Object.assign(dom.line.style, {left, width});
  Object.assign(dom.box.style, {left, width,
    top: `${100 * row / grid.rows}%`, height: `${100 / grid.rows}%`});
}
