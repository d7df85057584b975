/** One run's heatmap with its names, axis, cursor and flow. */

import {columnOf, moved} from './axis.js';
import {drawFlow} from './flow.js';
import {commandOf, listen} from './gestures.js';
import {build, drawAxis, drawFlowAxis} from './heatmap_dom.js';
import {namesOf} from './names.js';
import {boxOf} from './overlay.js';
import {HIGHEST, blockAt, middleOf, placeRows, topOf} from './places.js';
import {
  edgesOf, entriesOf, foldedLines, paint, pick, rowsOfPixel, tableOf,
} from './raster.js';
import {
  WHOLE, columnsSeen, heightsSeen, including, panRows, panSteps, zoomRows,
  zoomSteps,
} from './viewport.js';

const HELP = 'Arrow keys move the cursor, Home and End go to the first and '
  + 'last step, Page Up and Page Down move by a tenth of the steps. Plus and '
  + 'minus zoom the steps, R and Shift R the rows, 0 shows all, Shift with '
  + 'arrows moves what is seen. Space folds and unfolds a block, Enter shows '
  + 'the layer.';

// How long the hint about the wheel stays.
const HINT = 1600;

/** `node` goes into the document; `update` and `showCursor` fill it. */
export class Heatmap {
  #dom;
  #actions;
  #run = '';
  #grid = null;
  #look = null;
  #scale = null;
  #cursor = null;
  #placed = null;
  #entries = null;
  #folded = null;
  // What names and flow were drawn for: zooming in steps moves neither.
  #beside = [];
  #flowed = [];
  #zoom = WHOLE;
  #isOpen = null;
  #marks = [];
  #profiles = [];
  #due = false;

  /**
   * @param {{onCursor: Function, onZoom: (zoom: Object) => void,
   *     onOpen: (row: number) => void, onFold: (name: ?string) => void,
   *     onPng: Function, onCsv: Function}} actions `onCursor` gets `{run, row,
   *     column}` and whether a key moved it; `onFold` a block, or null for all
   */
  constructor(actions) {
    this.#actions = actions;
    this.#dom = build({
      foldAll: () => actions.onFold(null),
      reset: () => actions.onZoom(WHOLE),
      zoom: (factor) => this.#zoomAtCursor(factor),
      png: () => actions.onPng(this.node, this.#run),
      csv: () => actions.onCsv(this.#run),
    });
    this.node = this.#dom.node;
    this.more = this.#dom.more;
    this.#listen(this.#dom.cells);
    new ResizeObserver(() => this.#draw()).observe(this.#dom.cells);
  }

  /** Whether a key press goes to its cells. */
  focus() {
    this.#dom.cells.focus({preventScroll: true});
  }

  /**
   * Shows a grid, or a message instead of it. Without either the old picture
   * stays, pale, until there is one.
   */
  update({run, label, color, caption, finding, message, isError, grid, look,
    scale, zoom, isOpen, openKey, noFlow = false}) {
    const dom = this.#dom;
    this.#run = run;
    dom.dot.style.background = color;
    dom.name.textContent = label;
    dom.caption.textContent = caption;
    dom.finding.textContent = finding?.text ?? '';
    dom.finding.classList.toggle('alarm', Boolean(finding?.alarming));
    if (dom.message.textContent !== message) dom.message.textContent = message;
    dom.message.hidden = !message;
    dom.message.classList.toggle('error', Boolean(isError));
    dom.node.classList.toggle('loading', !grid && !message);
    if (!grid && !message) {
      // What is on its way does not take away what is seen.
      this.setZoom(zoom);
      return;
    }
    const isNew = grid !== this.#grid || look !== this.#look
      || openKey !== this.#isOpen?.key;
    this.#grid = grid?.rows ? grid : null;
    this.#look = look;
    this.#scale = scale;
    this.#isOpen = {key: openKey};
    dom.plot.hidden = Boolean(message) && !this.#grid;
    dom.tools.hidden = !this.#grid;
    if (!this.#grid || !isNew) {
      this.setZoom(zoom);
      return;
    }
    this.#zoom = zoom;
    this.#placed = placeRows(this.#grid, isOpen);
    this.#entries = entriesOf(this.#grid, look.position);
    this.#folded = foldedLines(this.#entries, this.#grid.columns, this.#placed);
    look.table ??= tableOf(look);
    const size = Math.min(HIGHEST, this.#placed.total);
    dom.plot.style.setProperty('--height', `${size}px`);
    dom.plot.classList.toggle('without-flow',
      Boolean(this.#grid.groups || noFlow));
    dom.fold.hidden = !this.#grid.blocks?.length;
    dom.fold.textContent = openKey ? 'fold all' : 'unfold all';
    dom.cells.setAttribute('aria-label', `${label}: ${caption}. `
      + (finding ? `${finding.text}. ` : '')
      + `${grid.rows} rows, ${grid.columns} recorded steps. ${HELP}`);
    this.#draw();
  }

  /** Shows another part, the same in all heatmaps; at the next frame. */
  setZoom(zoom) {
    if (zoom === this.#zoom) return;
    this.#zoom = zoom;
    this.schedule();
  }

  /** Draws at the next frame, once. */
  schedule() {
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      this.#draw();
    });
  }

  /** Outlines the cells of findings. */
  showMarks(marks) {
    this.#marks = marks;
    if (this.#grid) this.#dom.marks.update(marks, this.#placed, this.#view());
  }

  /** Brings the outlines that were chosen into sight, or else the cells. */
  reveal(hidden) {
    this.#dom.marks.reveal(hidden);
  }

  /** Shows `{run, row, step}`, in other runs only its step, and its value. */
  showCursor(cursor, text) {
    this.#cursor = cursor;
    this.#dom.value.textContent = text;
    this.#drawCursor();
  }

  /** Shows value against depth, see `flow.js`. */
  showFlow(profiles, title) {
    this.#profiles = profiles;
    this.#dom.flowTitle.textContent = title;
    this.#drawFlow();
  }

  /** Returns the grid that is drawn. */
  get grid() {
    return this.#grid;
  }

  #view() {
    const size = this.#dom.cells.clientHeight;
    return {seen: columnsSeen(this.#zoom, this.#grid.steps),
      heights: heightsSeen(this.#zoom, this.#placed.total), size};
  }

  #draw() {
    const {canvas, cells, axis, names, flowAxis, whole} = this.#dom;
    const [width, size] = [cells.clientWidth, cells.clientHeight];
    // A hidden tab has no width; the observer calls again when it has one.
    if (!this.#grid || width === 0 || size === 0) return;
    const density = window.devicePixelRatio || 1;
    const view = this.#view();
    canvas.width = Math.round(width * density);
    canvas.height = Math.round(size * density);
    const context = canvas.getContext('2d');
    const image = context.createImageData(canvas.width, canvas.height);
    paint(new Uint32Array(image.data.buffer), {entries: this.#entries,
      columns: this.#grid.columns, placed: this.#placed,
      table: this.#look.table, ...view, width: canvas.width,
      height: canvas.height, density, gap: 0, folded: this.#folded});
    context.putImageData(image, 0, 0);
    drawAxis(axis, this.#grid, view.seen, width);
    if (isChanged(this.#beside, [this.#placed, size, ...view.heights,
      this.#scale])) {
      names.replaceChildren(...namesOf(this.#grid, this.#placed, view.heights,
        size, (name) => this.#actions.onFold(name)));
      drawFlowAxis(flowAxis, this.#scale);
    }
    whole.hidden = !this.#zoom.steps && !this.#zoom.rows;
    this.#dom.marks.update(this.#marks, this.#placed, view);
    this.#drawCursor();
    this.#drawFlow();
  }

  #drawCursor() {
    const {line, box} = this.#dom;
    const cursor = this.#cursor;
    line.hidden = box.hidden = true;
    if (!cursor || !this.#grid) return;
    const {row, column} = this.#here();
    const view = this.#view();
    const all = {from: 0, to: this.#grid.rows, first: column, last: column};
    const across = boxOf(all, this.#placed, view);
    if (!across) return;
    line.hidden = false;
    Object.assign(line.style,
      {left: `${across.left}%`, width: `${across.width}%`});
    const cell = boxOf({...all, from: row, to: row + 1}, this.#placed, view);
    if (cursor.run !== this.#run || cursor.row < 0 || !cell) return;
    box.hidden = false;
    Object.assign(box.style, {left: `${cell.left}%`, width: `${cell.width}%`,
      top: `${cell.top}px`, height: `${cell.height}px`});
  }

  #drawFlow() {
    const {flow, flowCanvas} = this.#dom;
    const [width, height] = [flow.clientWidth, flow.clientHeight];
    if (!this.#grid || this.#grid.groups || !width || !height) return;
    const density = window.devicePixelRatio || 1;
    if (!isChanged(this.#flowed, [this.#profiles, this.#placed, this.#scale,
      width, height, density, ...this.#view().heights])) return;
    flowCanvas.width = Math.round(width * density);
    flowCanvas.height = Math.round(height * density);
    const {heights, size} = this.#view();
    const zoom = size / (heights[1] - heights[0]);
    const style = getComputedStyle(flow);
    const yOf = (row) => (middleOf(this.#placed, row) - heights[0]) * zoom;
    drawFlow(flowCanvas, this.#profiles, {scale: this.#scale, yOf, density,
      colors: {grid: style.borderLeftColor, ink: style.color}});
  }

  /** Returns the cursor's cell in this run; at first that of the last step. */
  #here() {
    if (!this.#grid) return null;
    const {rows, columns, steps} = this.#grid;
    if (!this.#cursor) return {row: 0, column: columns - 1};
    // The cursor may be on a row that this run does not have.
    return {row: Math.max(0, Math.min(this.#cursor.row, rows - 1)),
      column: columnOf(steps, this.#cursor.step)};
  }

  /** Returns the cell drawn under the pointer. */
  #cellAt({clientX, clientY}) {
    if (!this.#grid) return null;
    const {canvas, cells} = this.#dom;
    const box = cells.getBoundingClientRect();
    const pixel = (offset, size, count) => Math.max(0, Math.min(count - 1,
      Math.floor(offset / size * count)));
    const {seen, heights} = this.#view();
    const x = pixel(clientX - box.left, box.width, canvas.width);
    const y = pixel(clientY - box.top, box.height, canvas.height);
    const rows = rowsOfPixel(this.#placed, heights, y, canvas.height)
      ?? this.#nearest(heights, y, canvas.height);
    const edges = edgesOf(seen, canvas.width, this.#grid.columns);
    const first = Math.min(edges[x], this.#grid.columns - 1);
    return this.#picked(rows, first, Math.max(first + 1, edges[x + 1]));
  }

  #nearest(heights, y, height) {
    for (let above = y; above >= 0; above--) {
      const rows = rowsOfPixel(this.#placed, heights, above, height);
      if (rows) return {from: rows.to - 1, to: rows.to};
    }
    return {from: 0, to: 1};
  }

  #picked(rows, first, last) {
    const {columns} = this.#grid;
    const cell = pick(this.#entries, columns, rows, first, last);
    return {row: Math.floor(cell / columns), column: cell % columns};
  }

  #tell(cell, byKey) {
    if (cell) this.#actions.onCursor({run: this.#run, ...cell}, byKey);
  }

  #listen(cells) {
    const point = (event) => this.#tell(this.#cellAt(event), false);
    cells.addEventListener('pointermove', point);
    cells.addEventListener('pointerdown', point);
    listen(cells, {
      zoomSteps: (at, factor) => this.#zoomSteps(at, factor),
      zoomRows: (at, factor) => this.#zoomRows(at, factor),
      pan: (x, y) => this.#pan(x, y),
      reset: () => this.#actions.onZoom(WHOLE),
      click: (event) => {
        const cell = this.#cellAt(event);
        if (cell) this.#actions.onOpen(cell.row);
      },
      hint: () => this.#hint(),
    });
    cells.addEventListener('keydown', (event) => this.#key(event));
    cells.addEventListener('focus', () => {
      if (cells.matches(':focus-visible')) this.#tell(this.#here(), true);
    });
  }

  #key(event) {
    if (!this.#grid || event.ctrlKey || event.altKey || event.metaKey) return;
    const command = commandOf(event);
    if (command) {
      event.preventDefault();
      this.#obey(command);
      return;
    }
    const cell = this.#moved(event.key);
    if (!cell) return;
    event.preventDefault();
    const share = topOf(this.#placed, cell.row) / this.#placed.total;
    this.#actions.onZoom(
      including(this.#zoom, this.#grid.steps, cell.column, share));
    this.#tell(cell, true);
  }

  /** Returns where a key leads; a folded block is one row. */
  #moved(key) {
    const here = this.#here();
    const block = blockAt(this.#placed, here.row);
    const from = !block.isFolded ? here
      : {...here, row: key === 'ArrowDown' ? block.to - 1 : block.from};
    const cell = moved(key, from, this.#grid);
    if (!cell) return null;
    const to = blockAt(this.#placed, cell.row);
    return to.isFolded ? this.#picked(to, cell.column, cell.column + 1) : cell;
  }

  #obey({name, value}) {
    const cell = this.#here();
    if (name === 'reset') this.#actions.onZoom(WHOLE);
    if (name === 'open') this.#actions.onOpen(cell.row);
    if (name === 'fold') {
      const block = blockAt(this.#placed, cell.row);
      if (block.name && block.to - block.from > 1) {
        this.#actions.onFold(block.name);
      }
    }
    if (name === 'zoomSteps') this.#zoomAtCursor(value);
    if (name === 'zoomRows') {
      const middle = topOf(this.#placed, cell.row) / this.#placed.total;
      this.#actions.onZoom(zoomRows(this.#zoom, middle, value));
    }
    if (name === 'panSteps') this.#pan(value, 0);
    if (name === 'panRows') this.#pan(0, value);
  }

  #zoomAtCursor(factor) {
    if (!this.#grid) return;
    const {column} = this.#here();
    this.#actions.onZoom(
      zoomSteps(this.#zoom, this.#grid.steps, column + 0.5, factor));
  }

  #zoomSteps(share, factor) {
    if (!this.#grid) return;
    const [from, to] = columnsSeen(this.#zoom, this.#grid.steps);
    this.#actions.onZoom(zoomSteps(this.#zoom, this.#grid.steps,
      from + share * (to - from), factor));
  }

  #zoomRows(share, factor) {
    const [from, to] = this.#zoom.rows ?? [0, 1];
    this.#actions.onZoom(
      zoomRows(this.#zoom, from + share * (to - from), factor));
  }

  /** Moves what is seen by shares of it; returns whether anything moved. */
  #pan(x, y) {
    if (!this.#grid || (!this.#zoom.steps && !this.#zoom.rows)) return false;
    const [from, to] = columnsSeen(this.#zoom, this.#grid.steps);
    const [low, high] = this.#zoom.rows ?? [0, 1];
    let zoom = panSteps(this.#zoom, this.#grid.steps, x * (to - from));
    zoom = panRows(zoom, y * (high - low));
    this.#actions.onZoom(zoom);
    return true;
  }

  #hint() {
    const {hint} = this.#dom;
    if (!hint.hidden) return;
    hint.hidden = false;
    setTimeout(() => {
      hint.hidden = true;
    }, HINT);
  }
}

/** Notes values in a list; returns whether any is another than before. */
function isChanged(noted, now) {
  const same = noted.length === now.length
    && now.every((value, i) => Object.is(value, noted[i]));
  noted.splice(0, noted.length, ...now);
  return !same;
}
