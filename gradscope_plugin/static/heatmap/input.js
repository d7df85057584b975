/** Pointer, wheel and keys over a heatmap: the cell, and what is to be seen. */

import {moved} from '../scales/axis.js';
import {commandOf, listen} from './gestures.js';
import {blockAt, isScrolled, topOf} from './row_places.js';
import {pick} from './merged_rows.js';
import {edgesOf, rowsOfPixel} from './raster.js';
import {
  WHOLE, including, panRows, panSteps, zoomRows, zoomSteps,
} from '../scales/viewport.js';

/**
 * What is drawn now.
 * @typedef {{grid: Object, placed: import('./row_places.js').Placed,
 *     entries: Uint16Array, sizes: number[], zoom: import('../scales/viewport.js').Zoom,
 *     cursorCell: {row: number, column: number}, canvas: HTMLCanvasElement,
 *     axis: import('../scales/step_axis.js').StepAxis, places: Float64Array,
 *     span: number[], heights: number[], size: number}} Drawn
 */

/**
 * @param {HTMLElement} cells
 * @param {() => ?Drawn} drawn null while nothing is
 * @param {{tell: Function, onZoom: Function, onOpen: Function,
 *     onFold: Function, hint: () => void}} actions `tell` gets a cell and
 *     whether a key moved to it
 * @return {(factor: number) => void} zooms the steps at the cursor
 */
export function listenTo(cells, drawn, actions) {
  const {tell, onZoom} = actions;
  const when = (call) => (...all) => {
    const now = drawn();
    return now ? call(now, ...all) : undefined;
  };
  const point = when((now, event) =>
    tell(cellAt(now, cells.getBoundingClientRect(), event), false));
  cells.addEventListener('pointermove', point);
  cells.addEventListener('pointerdown', point);
  listen(cells, {
    zoomSteps: when(({zoom, axis, span: [from, to]}, share, factor) => onZoom(
      zoomSteps(zoom, axis, from + share * (to - from), factor))),
    zoomRows: when((now, share, factor) => {
      const [from, to] = sharesOf(now);
      zoomRowsOf(now, from + share * (to - from), factor, onZoom);
    }),
    pan: (x, y) => Boolean(when(pan)(x, y, onZoom)),
    reset: () => onZoom(WHOLE),
    click: when((now, event) => actions.onOpen?.(
      cellAt(now, cells.getBoundingClientRect(), event).row)),
    hint: actions.hint,
  });
  cells.addEventListener('keydown', when((now, event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const command = commandOf(event);
    const cell = command ? null : movedTo(now, event.key);
    if (command || cell) event.preventDefault();
    if (command) obey(now, command, actions);
    if (!cell) return;
    const share = topOf(now.placed, cell.row) / now.placed.total;
    onZoom(including(now.zoom, now.axis, now.places.subarray(
      cell.column, cell.column + 2), share));
    tell(cell, true);
  }));
  cells.addEventListener('focus', when(({cursorCell}) => {
    if (cells.matches(':focus-visible')) tell(cursorCell, true);
  }));
  return when((now, factor) => zoomAtCursor(now, factor, onZoom));
}

/** Returns the cell that is drawn under a pointer. */
function cellAt(now, box,
    {clientX, clientY}) {
  const {grid, placed, canvas, span, places, heights} = now;
  const pixel = (offset, size, count) => Math.max(0, Math.min(count - 1,
    Math.floor(offset / size * count)));
  const x = pixel(clientX - box.left, box.width, canvas.width);
  const y = pixel(clientY - box.top, box.height, canvas.height);
  const rows = rowsNear(placed, heights, y, canvas.height);
  const edges = edgesOf(span, canvas.width, places);
  const first = Math.max(0, Math.min(edges[x], grid.columns - 1));
  return picked(now, rows, first,
    Math.max(first + 1, Math.min(edges[x + 1], grid.columns)));
}

/** Zooms rows around a share of the height; rows that scroll are never smaller
 * than their names. */
function zoomRowsOf(now, at, factor, onZoom) {
  const next = zoomRows(now.zoom, at, factor, sharesOf(now));
  const height = next.rows ? (next.rows[1] - next.rows[0]) * now.placed.total : 0;
  const isSmall = isScrolled(now.placed) && height > now.size;
  onZoom(isSmall ? {...next, rows: null} : next);
}

/** Returns the visible part of the height, as shares. */
function sharesOf({heights, placed}) {
  return heights.map((height) => height / placed.total);
}

/** Returns the rows of a line of pixels; between blocks, the last one above. */
function rowsNear(placed, heights, y, height) {
  for (let line = y; line >= 0; line--) {
    const rows = rowsOfPixel(placed, heights, line, height);
    if (rows) return line === y ? rows : {from: rows.to - 1, to: rows.to};
  }
  return {from: 0, to: 1};
}

function picked({grid: {columns}, entries, sizes}, rows, first, last) {
  const cell = pick(entries, columns, rows, first, last, sizes);
  return {row: Math.floor(cell / columns), column: cell % columns};
}

/** Returns where a key leads; a folded block is one row. */
function movedTo(now, key) {
  const {grid, placed, cursorCell} = now;
  const block = blockAt(placed, cursorCell.row);
  const from = !block.isFolded ? cursorCell
    : {...cursorCell, row: key === 'ArrowDown' ? block.to - 1 : block.from};
  const cell = moved(key, from, grid);
  if (!cell) return null;
  const to = blockAt(placed, cell.row);
  return to.isFolded
    ? picked(now, to, cell.column, cell.column + 1) : cell;
}

function obey(now, {name, value}, {onZoom, onOpen, onFold}) {
  const {cursorCell, placed} = now;
  const fold = () => {
    const block = blockAt(placed, cursorCell.row);
    if (block.name && block.to - block.from > 1) onFold(block.name);
  };
  const middle = topOf(placed, cursorCell.row) / placed.total;
  ({
    reset: () => onZoom(WHOLE),
    open: () => onOpen?.(cursorCell.row),
    fold,
    zoomSteps: () => zoomAtCursor(now, value, onZoom),
    zoomRows: () => zoomRowsOf(now, middle, value, onZoom),
    panSteps: () => pan(now, value, 0, onZoom),
    panRows: () => pan(now, 0, value, onZoom),
  })[name]();
}

function zoomAtCursor({zoom, axis, places, cursorCell}, factor, onZoom) {
  const {column} = cursorCell;
  const middle = (places[column] + places[column + 1]) / 2;
  onZoom(zoomSteps(zoom, axis, middle, factor));
}

/** Moves what is seen by shares of it; returns whether anything moved. */
function pan({zoom, axis, span: [from, to]}, x, y, onZoom) {
  if (!zoom.steps && !zoom.rows) return false;
  const [low, high] = zoom.rows ?? [0, 1];
  onZoom(panRows(panSteps(zoom, axis, x * (to - from)),
    y * (high - low)));
  return true;
}
