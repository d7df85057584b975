/** One run's heatmap with its names, axis, cursor and flow. */

import {showCode} from '../basics/code_in_text.js';
import {columnOf} from '../scales/axis.js';
import {drawFlow} from './depth_profile.js';
import {build, drawAxis, drawFlowAxis} from './elements.js';
import {listenTo} from './input.js';
import {createProfilePanel} from './profile_panel.js';
import {namesOf} from './row_labels.js';
import {boxOf} from './outlines.js';
import {HIGHEST, heightOf, isScrolled, middleOf, placeRows, topOf}
  from './row_places.js';
import {entriesOf} from './cell_entries.js';
import {foldedLines} from './merged_rows.js';
import {linesOf, paint, tableOf} from './raster.js';
import {makeAxis, placesOf} from '../scales/step_axis.js';
import {WHOLE, heightsSeen, placesSeen} from '../scales/viewport.js';

const HELP = 'Arrow keys move the cursor, Home and End go to the first and '
  + 'last step, Page Up and Page Down move by a tenth of the steps. Plus and '
  + 'minus zoom the steps, R and Shift R zoom the rows, 0 shows all, Shift '
  + 'with an arrow key moves the visible part. Space folds and unfolds a '
  + 'block, Enter shows the layer.';

// How long the hint about the wheel stays.
const HINT = 1600;

// What is seen above and below a row that is scrolled to.
const BESIDE = 20;

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
  #axis = makeAxis('linear', []);
  // Where the columns lie on the axis.
  #places = new Float64Array();
  #entries = null;
  #folded = null;
  #sizes = [];
  // Width and height of the cells and of the flow. To ask the browser in each
  // frame would make it lay out the page as often as there are heatmaps.
  #size = {width: 0, height: 0, flowWidth: 0, flowHeight: 0};
  // What each line of pixels shows, and what it was found for.
  #lines = null;
  #lined = [];
  #image = null;
  // What names and flow were drawn for: zooming in steps moves neither.
  #beside = [];
  #flowed = [];
  #zoom = WHOLE;
  #isOpen = null;
  // Whether its rows are of layers.
  #isLinked = false;
  #marks = [];
  #profiles = [];
  #profile;
  #profileTitle = '';
  #due = false;
  #zoomBy;

  /**
   * @param {{onCursor: Function, onZoom: (zoom: Object) => void,
   *     onOpen: ?(row: number) => void, onFold: (name: ?string) => void,
   *     onScroll?: (top: number, total: number) => void,
   *     onEarlier: (run: string) => void, onPng: Function,
   *     onCsv: Function}} actions `onCursor` gets `{run, row,
   *     column}` and whether a key moved it; `onFold` a block, or null for all
   */
  constructor(actions) {
    this.#actions = actions;
    this.#dom = build({
      foldAll: () => actions.onFold(null),
      byDepth: () => this.#openProfile(this.#profile.node.hidden),
      reset: () => actions.onZoom(WHOLE),
      zoom: (factor) => this.#zoomBy(factor),
      png: () => actions.onPng(this.node, this.#run),
      csv: () => actions.onCsv(this.#run),
    });
    this.node = this.#dom.node;
    this.more = this.#dom.more;
    this.#profile = createProfilePanel(() => this.#openProfile(false));
    this.#dom.plot.after(this.#profile.node);
    this.#zoomBy = listenTo(this.#dom.cells, () => this.#grid && {
      grid: this.#grid, placed: this.#placed, entries: this.#entries,
      sizes: this.#sizes,
      zoom: this.#zoom, cursorCell: this.#cursorCell(),
      canvas: this.#dom.canvas, ...this.#view()}, {...actions, hint: () => this.#hint(),
      tell: (cell, byKey) => {
        if (cell && byKey) this.#bring(cell.row, cell.row + 1);
        this.#tell(cell, byKey);
      }});
    new ResizeObserver(() => this.#drawAnew()).observe(this.#dom.cells);
    this.#dom.plot.addEventListener('scroll', () => {
      actions.onScroll?.(this.#dom.plot.scrollTop, this.#placed.total);
      this.schedule();
    });
  }

  /** Whether a key press goes to its cells. */
  focus() {
    this.#dom.cells.focus({preventScroll: true});
  }

  /**
   * Shows a grid, or a message instead of it. Without either the old picture
   * stays, pale, until there is one.
   */
  update({run, label, color, caption, finding, alarm = '', earlier = null,
    message, isError, grid, look, scale, axis, zoom, isOpen, openKey, noFlow = false, awaited = 0}) {
    const dom = this.#dom;
    this.#run = run;
    dom.dot.style.background = color;
    dom.name.textContent = label;
    dom.caption.textContent = caption;
    dom.finding.textContent = finding?.text ?? '';
    showCode(dom.alarm, alarm);
    this.#showEarlier(earlier);
    dom.finding.classList.toggle('alarm', Boolean(finding?.alarming));
    if (dom.message.textContent !== message) dom.message.textContent = message;
    dom.message.hidden = !message;
    dom.message.classList.toggle('error', Boolean(isError));
    dom.node.classList.toggle('loading', !grid && !message);
    if (!grid && !message) {
      // What is on its way does not take away what is seen.
      if (awaited) this.#setHeight(awaited);
      this.setZoom(zoom);
      return;
    }
    const isNew = grid !== this.#grid || look !== this.#look
      || openKey !== this.#isOpen?.key || axis !== this.#axis;
    this.#grid = grid?.rows ? grid : null;
    dom.kinds.update(this.#grid, look);
    this.#look = look;
    this.#scale = scale;
    this.#isOpen = {key: openKey};
    dom.plot.hidden = Boolean(message) && !this.#grid;
    dom.node.classList.toggle('empty', dom.plot.hidden);
    dom.tools.hidden = !this.#grid;
    if (!this.#grid || !isNew) {
      this.setZoom(zoom);
      return;
    }
    this.#zoom = zoom;
    this.#axis = axis;
    this.#places = placesOf(axis, this.#grid.steps);
    this.#placed = placeRows(this.#grid, isOpen);
    this.#entries = entriesOf(this.#grid, look.position);
    this.#sizes = this.#grid.named.map(({size = 0}) => size);
    this.#folded = foldedLines(this.#entries, this.#grid.columns, this.#placed,
      this.#sizes);
    look.table ??= tableOf(look);
    this.#setHeight(this.#placed.total);
    this.#drawScrolling();
    dom.plot.classList.toggle('without-flow',
      noFlow);
    this.#isLinked = Boolean(this.#actions.onOpen
      && (!noFlow || this.#grid.groups));
    dom.fold.hidden = !this.#grid.blocks?.length;
    dom.fold.textContent = openKey ? 'fold all' : 'unfold all';
    dom.cells.setAttribute('aria-label', `${label}: ${caption}. `
      + (finding ? `${finding.text}. ` : '')
      + `${grid.rows} rows, ${grid.columns} recorded steps. ${HELP}`);
    this.#drawAnew();
  }

  /** Shows another part, the same in all heatmaps; at the next frame. */
  setZoom(zoom) {
    if (zoom === this.#zoom) return;
    this.#zoom = zoom;
    if (this.#placed) this.#drawScrolling();
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
  reveal(hidden, selection) {
    if (selection) {
      this.#bring(selection.from, selection.to);
      this.#dom.marks.update(this.#marks, this.#placed, this.#view());
    }
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
    this.#profileTitle = title;
    this.#dom.flowTitle.textContent = title;
    this.#dom.byDepth.hidden = !profiles.length;
    this.#drawFlow();
    this.#drawProfile();
  }

  /** Shows the curve by depth with names and room, or no more. */
  #openProfile(isOpen) {
    this.#profile.node.hidden = !isOpen;
    this.#dom.byDepth.setAttribute('aria-pressed', String(isOpen));
    this.#drawProfile();
    if (isOpen) this.#profile.node.scrollIntoView({block: 'nearest'});
  }

  #drawProfile() {
    if (!this.#profiles.length || !this.#grid) {
      this.#profile.node.hidden = true;
      return;
    }
    this.#profile.update({grid: this.#grid, profiles: this.#profiles,
      scale: this.#scale, title: this.#profileTitle});
  }

  /** Returns the grid that is drawn. */
  get grid() {
    return this.#grid;
  }

  /** Says what else is in the run's directory, and shows it on a click. */
  #showEarlier(earlier) {
    const {earlier: node, earlierText, earlierShow} = this.#dom;
    node.hidden = !earlier;
    if (!earlier) return;
    earlierText.textContent = `${earlier.steps ?? 'Some'} steps of an earlier `
      + 'training with another model are in the same directory. ';
    earlierShow.onclick = () => this.#actions.onEarlier(earlier.name);
  }

  #setHeight(total) {
    const {style} = this.#dom.plot;
    style.setProperty('--height', `${Math.min(HIGHEST, total)}px`);
    style.setProperty('--total', `${total}px`);
  }

  /** Lets rows scroll that are too many, unless somebody zoomed in on some. */
  #drawScrolling() {
    this.#dom.plot.classList.toggle('scrolls',
      !this.#zoom.rows && isScrolled(this.#placed));
  }

  get #isScrolling() {
    return this.#dom.plot.classList.contains('scrolls');
  }

  /** Scrolls to rows that lie in the same places as those of another run. */
  scrollTo(top, total) {
    if (this.#placed?.total === total) this.#dom.plot.scrollTop = top;
  }

  /** Scrolls as little as it takes to see some rows. */
  #bring(from, to) {
    if (!this.#isScrolling) return;
    const {plot} = this.#dom;
    const top = topOf(this.#placed, from);
    const bottom = topOf(this.#placed, to - 1) + heightOf(this.#placed, to - 1);
    const room = this.#size.height;
    plot.scrollTop = Math.max(Math.min(plot.scrollTop, top - BESIDE),
      bottom + BESIDE - room);
  }

  #view() {
    const size = this.#size.height;
    const top = this.#dom.plot.scrollTop;
    return {span: placesSeen(this.#zoom, this.#axis), size,
      axis: this.#axis, places: this.#places,
      heights: this.#isScrolling ? [top, top + size]
        : heightsSeen(this.#zoom, this.#placed.total)};
  }

  #drawAnew() {
    const {cells, flow} = this.#dom;
    this.#size = {width: cells.clientWidth, height: cells.clientHeight,
      flowWidth: flow.clientWidth, flowHeight: flow.clientHeight};
    // The cells are as wide as those of other runs, which do not scroll.
    const {offsetWidth, clientWidth} = this.#dom.plot;
    this.#dom.plot.style.setProperty('--bar', `${offsetWidth - clientWidth}px`);
    this.#draw();
  }

  #draw() {
    const {axis, names, flowAxis, wholeRun} = this.#dom;
    const {width, height: size} = this.#size;
    // A hidden tab has no width; the observer calls again when it has one.
    if (!this.#grid || width === 0 || size === 0) return;
    const view = this.#view();
    this.#paint(view);
    drawAxis(axis, this.#grid, this.#axis, view.span, width);
    if (isChanged(this.#beside, [this.#placed, size, ...view.heights,
      this.#scale])) {
      names.replaceChildren(...namesOf(this.#grid, this.#placed, view.heights,
        size, this.#folded, (name) => this.#actions.onFold(name),
        this.#isLinked ? (row) => this.#actions.onOpen(row) : null));
      drawFlowAxis(flowAxis, this.#scale);
    }
    wholeRun.hidden = !this.#zoom.steps && !this.#zoom.rows;
    this.#dom.marks.update(this.#marks, this.#placed, view);
    this.#drawCursor();
    this.#drawFlow();
  }

  #paint({span, places, heights}) {
    const {canvas} = this.#dom;
    const density = window.devicePixelRatio || 1;
    const width = Math.round(this.#size.width * density);
    const height = Math.round(this.#size.height * density);
    const context = canvas.getContext('2d');
    if (canvas.width !== width || canvas.height !== height || !this.#image) {
      canvas.width = width;
      canvas.height = height;
      this.#image = context.createImageData(width, height);
    }
    const picture = {entries: this.#entries, columns: this.#grid.columns,
      placed: this.#placed, table: this.#look.table, span, places, heights,
      width, height, density, gap: 0, folded: this.#folded, sizes: this.#sizes};
    if (isChanged(this.#lined, [picture.entries, picture.placed, height,
      ...heights])) {
      this.#lines = linesOf(picture);
    }
    paint(new Uint32Array(this.#image.data.buffer),
      {...picture, lines: this.#lines});
    context.putImageData(this.#image, 0, 0);
  }

  #drawCursor() {
    const {line, box} = this.#dom;
    const cursor = this.#cursor;
    line.hidden = box.hidden = true;
    if (!cursor || !this.#grid) return;
    const {row, column} = this.#cursorCell();
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
    const {flowWidth: width, flowHeight: height} = this.#size;
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
  #cursorCell() {
    if (!this.#grid) return null;
    const {rows, columns, steps} = this.#grid;
    if (!this.#cursor) return {row: 0, column: columns - 1};
    // The cursor may be on a row that this run does not have.
    return {row: Math.max(0, Math.min(this.#cursor.row, rows - 1)),
      column: columnOf(steps, this.#cursor.step)};
  }

  #tell(cell, byKey) {
    if (cell) this.#actions.onCursor({run: this.#run, ...cell}, byKey);
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
