/** One run's heatmap with its names, axis and cursor. */

import {columnOf, isEven, moved, tickColumns} from './axis.js';
import {thin} from './cells.js';
import {element} from './dom.js';
import {drawGrid} from './heatmap.js';
import {namesOf} from './names.js';
import {createOverlay} from './overlay.js';
import {placeRows, rowAt, topOf} from './places.js';

const HELP = 'Arrow keys move the cursor, Home and End go to the first and '
  + 'last step, Page Up and Page Down move by a tenth of the steps.';

// No browser's canvas is higher than 32767 pixels.
const HIGHEST = 32000;

/** `node` goes into the document; `update` and `showCursor` fill it. */
export class Heatmap {
  #dom = build();
  #run = '';
  #grid = null;
  #look = null;
  #cursor = null;
  #chosen = null;
  #placed = null;

  /**
   * @param {(cell: {run: string, row: number, column: number},
   *     byKey: boolean) => void} onCursor
   */
  constructor(onCursor) {
    this.node = this.#dom.node;
    const tell = (cell, byKey) =>
      cell && onCursor({run: this.#run, ...cell}, byKey);
    const point = (event) => tell(this.#cellAt(event), false);
    const {cells} = this.#dom;
    cells.addEventListener('pointermove', point);
    cells.addEventListener('pointerdown', point);
    cells.addEventListener('keydown', (event) => {
      if (!this.#grid || event.ctrlKey || event.altKey || event.metaKey) return;
      const cell = moved(event.key, this.#here(), this.#grid);
      if (cell) event.preventDefault();
      tell(cell, true);
    });
    cells.addEventListener('focus', () => {
      if (cells.matches(':focus-visible')) tell(this.#here(), true);
    });
    new ResizeObserver(() => this.#draw()).observe(cells);
  }

  /**
   * Shows a grid, or a message instead of it. Without either the old picture
   * stays, pale, until there is one.
   */
  update({run, label, color, caption, finding, message, isError, grid, look}) {
    const dom = this.#dom;
    const isNew = grid !== this.#grid || look !== this.#look;
    this.#run = run;
    this.#grid = grid?.rows ? grid : null;
    this.#look = look;
    dom.dot.style.background = color;
    dom.name.textContent = label;
    dom.caption.textContent = caption;
    dom.finding.textContent = finding?.text ?? '';
    dom.finding.classList.toggle('alarm', Boolean(finding?.alarming));
    dom.message.textContent = message;
    dom.message.hidden = !message;
    dom.message.classList.toggle('error', Boolean(isError));
    dom.node.classList.toggle('loading', !grid && !message);
    dom.plot.hidden = Boolean(message) && !this.#grid;
    if (!this.#grid || !isNew) return;
    this.#placed = placeRows(grid);
    dom.plot.style.setProperty('--height', `${this.#placed.total}px`);
    dom.names.replaceChildren(...namesOf(grid, this.#placed));
    dom.cells.setAttribute('aria-label', `${label}: ${caption}. `
      + (finding ? `${finding.text}. ` : '')
      + `${grid.rows} rows, ${grid.columns} recorded steps. ${HELP}`);
    this.#draw();
  }

  /** Outlines the cells of findings. */
  showMarks(marks) {
    if (!this.#grid) return;
    this.#dom.marks.update(marks, this.#grid.columns, this.#placed);
  }

  /** Brings the outlines that were chosen into sight, or else the cells. */
  reveal(hidden) {
    this.#dom.marks.reveal(hidden);
  }

  /** Shows `{run, row, step}`, in other runs only its step, and its value. */
  showCursor(cursor, text) {
    this.#cursor = cursor;
    const {line, box, value} = this.#dom;
    value.textContent = text;
    line.hidden = !cursor;
    box.hidden = cursor?.run !== this.#run;
    if (!cursor || !this.#grid) return;
    const {columns} = this.#grid;
    const {row, column} = this.#here();
    const [left, width] = [percent(column, columns), percent(1, columns)];
    Object.assign(line.style, {left, width});
    const [top, height] = [topOf(this.#placed, row), this.#placed.height];
    Object.assign(box.style,
      {left, width, top: `${top}px`, height: `${height}px`});
  }

  #draw() {
    const {canvas, cells, axis} = this.#dom;
    const width = cells.clientWidth;
    // A hidden tab has no width; the observer calls again when it has one.
    if (!this.#grid || width === 0) return;
    const density = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * density);
    canvas.height = Math.min(HIGHEST,
      Math.round(this.#placed.total * density));
    this.#chosen = thin(this.#grid, width, this.#look.position);
    drawGrid(canvas, this.#grid, this.#chosen, this.#look, this.#placed);
    drawAxis(axis, this.#grid, width);
  }

  /** Returns the cursor's cell in this run; at first that of the last step. */
  #here() {
    if (!this.#grid) return null;
    const {rows, columns, steps} = this.#grid;
    if (!this.#cursor) return {row: 0, column: columns - 1};
    return {row: Math.min(this.#cursor.row, rows - 1),
      column: columnOf(steps, this.#cursor.step)};
  }

  /** Returns the cell drawn under the pointer. */
  #cellAt({clientX, clientY}) {
    if (!this.#grid || !this.#chosen) return null;
    const box = this.#dom.cells.getBoundingClientRect();
    const part = (offset, size, count) => Math.max(0, Math.min(count - 1,
      Math.floor(offset / size * count)));
    const {bins, source} = this.#chosen;
    const row = rowAt(this.#placed, clientY - box.top);
    const bin = part(clientX - box.left, box.width, bins);
    return {row, column: source[row * bins + bin]};
  }
}

/*
 * <section class="heatmap">
 *   <h2><span class="dot"></span><b>run</b> <small>caption</small>
 *     <small class="alarm">7 of 64 dead at step 390</small>
 *     <output>value at the cursor</output></h2>
 *   <p class="message"></p>
 *   <div class="plot">
 *     <div class="names"><span>dense_1</span>…</div>
 *     <div class="cells" tabindex="0"><canvas></canvas><i/><i/></div>
 *     <div class="marks"><i class="mark error"/></div>
 *     <div class="axis"><span>step 0</span>…</div>
 *   </div>
 * </section>
 */
function build() {
  const dom = {
    dot: element('span', {className: 'dot'}),
    name: element('b'),
    caption: element('small'),
    finding: element('small'),
    value: element('span', {className: 'value'}),
    message: element('p', {className: 'message'}),
    names: element('div', {className: 'names', 'aria-hidden': 'true'}),
    canvas: element('canvas'),
    line: element('i', {className: 'line', hidden: true}),
    box: element('i', {className: 'box', hidden: true}),
    marks: createOverlay(),
    axis: element('div', {className: 'axis', 'aria-hidden': 'true'}),
  };
  // Not "img" or "grid": screen readers would keep the arrow keys of these
  // to themselves.
  dom.cells = element('div', {className: 'cells', tabIndex: 0,
    role: 'application', 'aria-roledescription': 'heatmap'},
  dom.canvas, dom.line, dom.box);
  dom.plot = element('div', {className: 'plot'},
    dom.names, dom.cells, dom.marks.node, dom.axis);
  dom.node = element('section', {className: 'heatmap'},
    element('h2', {}, dom.dot, dom.name, dom.caption, dom.finding, dom.value),
    dom.message, dom.plot);
  return dom;
}

function drawAxis(axis, {steps, groups}, width) {
  const labels = tickColumns(steps, width).map((column, index) => {
    const text = index ? String(steps[column]) : `step ${steps[column]}`;
    const label = element('span', {}, text);
    label.style.left = percent(column + 0.5, steps.length);
    return label;
  });
  labels[0].classList.add('first');
  if (labels.length > 1) labels.at(-1).classList.add('last');
  const uneven = element('em', {hidden: isEven(steps)},
    groups ? 'one column for every eighth of a window of examples, or more'
      : 'one column per recorded step');
  axis.replaceChildren(...labels, uneven);
}

function percent(part, whole) {
  return `${100 * part / whole}%`;
}
