/** A grid as pixels: which cell each one shows, and its colour; pure. */

import {ABOVE, BELOW, INFINITE, MISSING, NAN} from '../data/cell_kinds.js';
import {ENTRIES, OUTSIDE, SPECIAL, WEIGHTS} from './cell_entries.js';
import {leadOf, mergedLine} from './merged_rows.js';
import {heightOf, rowsAt} from './row_places.js';

/**
 * Returns a look's table: of each entry its colour and that of its pattern, as
 * 32 bits in the order of `ImageData`.
 * @param {{palette: Uint8Array, marks: Object<number, number[]>,
 *     patterns: Object<number, number[]>}} look
 */
export function tableOf({palette, marks, patterns}) {
  const colors = new Uint32Array(ENTRIES);
  for (let entry = 0; entry < SPECIAL; entry++) {
    colors[entry] = pack(palette.subarray(3 * entry, 3 * entry + 3));
  }
  for (const [kind, color] of Object.entries(marks)) {
    colors[SPECIAL + Number(kind)] = pack(color);
  }
  colors[SPECIAL + BELOW] = colors[0];
  colors[SPECIAL + ABOVE] = colors[SPECIAL - 1];
  const inks = Uint32Array.from(colors);
  for (const [kind, color] of Object.entries(patterns)) {
    inks[SPECIAL + Number(kind)] = pack(color);
  }
  return {colors, inks};
}

/** @param {ArrayLike<number>} color */
function pack({0: red, 1: green, 2: blue}) {
  return (0xff000000 | blue << 16 | green << 8 | red) >>> 0;
}

/**
 * Lines of pixels: `of` says of each which one of `all` it shows, -1 between
 * blocks; `isPlain` of each of these whether nothing in it has a pattern.
 * @typedef {{of: Int32Array, all: Uint16Array[], isPlain: boolean[]}} Lines
 */

/**
 * Returns the cells that each line of pixels shows, in all columns: they stay
 * the same while somebody zooms or moves in steps.
 * @param {{entries: Uint16Array, columns: number,
 *     placed: import('./row_places.js').Placed, heights: number[],
 *     height: number, sizes?: number[],
 *     folded?: Map<number, import('./merged_rows.js').Merged>}} what
 * @return {Lines}
 */
export function linesOf({entries, columns, placed, heights, height, folded,
  sizes}) {
  const lines = {of: new Int32Array(height).fill(-1), all: [], isPlain: []};
  let before = null;
  for (let y = 0; y < height; y++) {
    const rows = rowsOfPixel(placed, heights, y, height);
    const isSame = rows && rows.from === before?.from && rows.to === before.to;
    before = rows;
    if (!rows) continue;
    if (!isSame) {
      const isOne = rows.to - rows.from === 1;
      const block = folded?.get(rows.from);
      lines.all.push(isOne
        ? entries.subarray(rows.from * columns, rows.to * columns)
        : block?.to === rows.to ? block.line
          : mergedLine(entries, columns, rows,
            leadOf(entries, columns, rows, sizes)));
      lines.isPlain.push(isPlain(lines.all.at(-1)));
    }
    lines.of[y] = lines.all.length - 1;
  }
  return lines;
}

function isPlain(line) {
  for (let column = 0; column < line.length; column++) {
    if (line[column] >= SPECIAL) return false;
  }
  return true;
}

/**
 * Returns for each pixel of a width its first column, and one more: -1 before
 * the first column, their number behind the last.
 * @param {number[]} span places
 * @param {number} width
 * @param {ArrayLike<number>} places between the columns, see `placesOf`
 */
export function edgesOf([from, to], width, places) {
  const edges = new Int32Array(width + 1);
  const columns = places.length - 1;
  let column = -1;
  for (let x = 0; x <= width; x++) {
    const place = from + (to - from) * x / width;
    // Places are quotients, which may be a rounding error before an edge.
    while (column < columns && places[column + 1] <= place + 1e-9) column += 1;
    edges[x] = column;
  }
  return edges;
}

/**
 * Paints the part of a grid that is seen.
 * @param {Uint32Array} out `width` x `height` pixels
 * @param {{entries: Uint16Array, columns: number, placed: Object,
 *     places?: ArrayLike<number>, table: {colors: Uint32Array, inks: Uint32Array}, span: number[],
 *     heights: number[], width: number, height: number,
 *     density: number, gap: number, sizes?: number[], lines?: Lines}} picture `span` as places,
 *     by default of columns; `heights` in pixels of `placed`; `gap` is the colour between blocks,
 *     `lines` are from `linesOf` where they are known
 */
export function paint(out, picture) {
  const {columns, table, span, width, height} = picture;
  const places = picture.places
    ?? Array.from({length: columns + 1}, (_, i) => i);
  const {of, all, isPlain: plain} = picture.lines ?? linesOf(picture);
  const pixels = columnsOf(edgesOf(span, width, places), columns);
  const line = new Uint16Array(width);
  for (let y = 0; y < height; y++) {
    const index = of[y];
    const at = y * width;
    if (index < 0) {
      out.fill(picture.gap, at, at + width);
    } else if (y && plain[index] && of[y - 1] === index) {
      out.copyWithin(at, at - width, at);
    } else {
      fillLine(line, all[index], pixels);
      colorLine(out, line, table, y, width, plain[index] ? 0 : picture.density);
    }
  }
}

/** Returns of each pixel the columns that it shows, `last` excluded, the first
 * -1 where there is none; and whether each shows only one. */
function columnsOf(edges, columns) {
  const width = edges.length - 1;
  const first = new Int32Array(width);
  const last = new Int32Array(width);
  let isSingle = true;
  for (let x = 0; x < width; x++) {
    const isNone = edges[x] >= columns || (edges[x] < 0 && edges[x + 1] < 1);
    first[x] = isNone ? -1 : Math.max(0, edges[x]);
    last[x] = isNone ? 0 : Math.max(first[x] + 1, edges[x + 1]);
    if (isNone || last[x] - first[x] > 1) isSingle = false;
  }
  return {first, last, isSingle};
}

/**
 * Returns the rows that a line of pixels shows, null between blocks.
 * @param {import('./row_places.js').Placed} placed
 * @param {number[]} heights
 * @param {number} y
 * @param {number} height in pixels
 */
export function rowsOfPixel(placed, [low, high], y, height) {
  const at = (line) => low + (high - low) * line / height;
  const middleRows = rowsAt(placed, at(y + 0.5));
  // Where a line of pixels is higher than a row, it shows several.
  const tall = (high - low) / height;
  const first = placed.height < tall ? rowsAt(placed, at(y)) : middleRows;
  const last = placed.height < tall ? rowsAt(placed, at(y + 1) - 1e-9)
    : middleRows;
  const from = Math.min(middleRows.from, first.from);
  const end = Math.max(middleRows.to, last.to);
  if (end - from === middleRows.to - middleRows.from) {
    const block = placed.blocks.findLast(({from}) => from <= middleRows.from);
    const bottom = block.isFolded ? block.top + heightOf(placed, block.from)
      : block.top + (block.to - block.from) * placed.height;
    const line = at(y + 0.5);
    if (line >= bottom || line < block.top) return null;
  }
  return {from, to: end};
}

/** Finds the entry of each pixel of a line. */
function fillLine(line, entries, {first, last, isSingle}) {
  if (isSingle) {
    for (let x = 0; x < line.length; x++) line[x] = entries[first[x]];
    return;
  }
  for (let x = 0; x < line.length; x++) {
    if (first[x] < 0) {
      line[x] = OUTSIDE;
      continue;
    }
    let best = entries[first[x]];
    for (let column = first[x] + 1; column < last[x]; column++) {
      if (WEIGHTS[entries[column]] > WEIGHTS[best]) best = entries[column];
    }
    line[x] = best;
  }
}

/** Colours a line of pixels; `density` is 0 where nothing has a pattern. */
function colorLine(out, line, {colors, inks}, y, width, density) {
  const base = y * width;
  if (!density) {
    for (let x = 0; x < width; x++) out[base + x] = colors[line[x]];
    return;
  }
  const py = Math.floor(y / density);
  for (let x = 0; x < width; x++) {
    const entry = line[x];
    const isInk = entry >= SPECIAL
      && hasInk(entry - SPECIAL, Math.floor(x / density), py);
    out[base + x] = isInk ? inks[entry] : colors[entry];
  }
}

/** Returns whether a kind's pattern is drawn at a place: stripes of NaN, a
 * weave of infinities, dots of what is out of range, lines of what is not. */
export function hasInk(kind, x, y) {
  if (kind === NAN) return (x + y) % 6 < 2;
  // The remainder of a negative number would be negative.
  if (kind === INFINITE) return (x - y + 6000) % 6 < 2 && (x + y) % 6 < 2;
  if (kind === BELOW || kind === ABOVE) return x % 5 === 2 && y % 5 === 2;
  if (kind === MISSING) return y % 4 === 1;
  return false;
}
