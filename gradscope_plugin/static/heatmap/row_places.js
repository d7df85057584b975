/** Where the rows of a heatmap go, and the names beside them; pure. */

import {blocksOf} from '../data/blocks.js';

// Between two groups of rows. A line instead would look like a row.
const GAP = 6;

// A line of text, two of them, and the room that the number of a unit takes.
const ONE_LINE = 13;
const TWO_LINES = 28;
const UNIT_LABEL = 18;

// The line with the name of an open block, a folded block, and the least that a
// row of an open block takes: each has its name.
const HEAD = 17;
const FOLDED = 16;
const NAMED = 14;

/** A heatmap is never higher. Rows in blocks scroll in it, more units share
 * pixels. */
export const HIGHEST = 700;

/**
 * Rows that are drawn one below the other.
 * @typedef {{from: number, to: number, top: number, name: (string|undefined),
 *     isFolded: (boolean|undefined), head: (number|undefined)}} Block
 *     `to` excluded; a folded block is one line for all of its rows, `head` is
 *     where the line with its name begins
 * @typedef {{height: number, total: number, blocks: Block[]}} Placed
 *     in pixels: height of a row and of all
 */

/** Height of a row: as many of 420 pixels as fit, 3 (with 200 rows) to 18. */
export function rowHeight(rows) {
  return Math.max(3, Math.min(18, Math.floor(420 / rows)));
}

/** Height of a unit: of ten layers of 128 each is a line of one pixel, which
 * is seen if it is black, where three would take five screens. */
export function unitHeight(rows) {
  return Math.max(1, Math.min(18, Math.floor(640 / rows)));
}

/**
 * Returns the blocks of rows that a grid is drawn in.
 * @param {{rows: number, groups?: Object[], blocks?: Object[]}} grid
 *     its `groups` stand apart, its `blocks` can be folded
 * @param {(name: string) => boolean=} isOpen whether a block is not folded
 * @return {Placed}
 */
export function placeRows({rows, groups, blocks}, isOpen = () => false) {
  if (!groups && blocks?.length) return placeBlocks(blocks, isOpen);
  const height = groups ? unitHeight(rows) : rowHeight(rows);
  const placed = (groups ?? [{from: 0, to: rows}]).map((group, index) =>
    ({...group, top: group.from * height + index * GAP}));
  return {height, blocks: placed,
    total: rows * height + GAP * (placed.length - 1)};
}

/**
 * Returns about how high the picture of a run will be, so that what is below
 * does not come into sight before it is there, and is asked for.
 * @param {{layers?: string[]}} run
 */
export function awaitedHeight({layers = []}) {
  const blocks = blocksOf(layers.map((name) => ({name})));
  return Math.min(HIGHEST, placeRows({rows: layers.length, blocks}).total);
}

function placeBlocks(blocks, isOpen) {
  const isRow = ({name, from, to}) => to - from < 2 || isOpen(name);
  const lines = blocks.filter(isRow).reduce((n, b) => n + b.to - b.from, 0);
  const height = Math.max(NAMED, rowHeight(Math.max(1, lines)));
  let top = 0;
  const placed = blocks.map((block) => {
    const isFolded = !isRow(block);
    const hasHead = !isFolded && block.to - block.from > 1;
    const head = hasHead ? top : undefined;
    if (hasHead) top += HEAD;
    const place = {...block, isFolded, head, top};
    top += isFolded ? FOLDED : (block.to - block.from) * height;
    return place;
  });
  return {height, blocks: placed, total: top};
}

/** Returns whether rows are too many for their names, and scroll. */
export function isScrolled({blocks, total}) {
  return total > HIGHEST && blocks.some(({isFolded}) => isFolded !== undefined);
}

/** Returns the block that a row is in: of a hundred, found for each of 1000
 * rows in each frame. */
export function blockAt({blocks}, row) {
  let low = 0;
  let high = blocks.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (blocks[middle].from <= row) low = middle;
    else high = middle - 1;
  }
  return blocks[low];
}

/** Returns where a row begins; in a folded block, where that does. */
export function topOf(placed, row) {
  const {from, top, isFolded} = blockAt(placed, row);
  return isFolded ? top : top + (row - from) * placed.height;
}

/** Returns the middle of a row, also between two; in a folded block its rows
 * lie one below the other in the height of one line. */
export function middleOf(placed, row) {
  const rowAbove = Math.floor(row);
  const {from, to, top, isFolded} = blockAt(placed, rowAbove);
  const height = isFolded ? FOLDED / (to - from) : placed.height;
  return top + (row - from + 0.5) * height;
}

/** Returns how high a row is drawn. */
export function heightOf(placed, row) {
  return blockAt(placed, row).isFolded ? FOLDED : placed.height;
}

/**
 * Returns the rows at a height, which are all of a folded block; below a
 * block, its last row.
 * @return {{from: number, to: number}}
 */
export function rowsAt({height, blocks}, y) {
  const block = blocks.findLast(({top}) => top <= y) ?? blocks[0];
  if (block.isFolded) return {from: block.from, to: block.to};
  const row = block.from + Math.floor((y - block.top) / height);
  const clamped = Math.max(block.from, Math.min(block.to - 1, row));
  return {from: clamped, to: clamped + 1};
}

/** Returns the rows whose names fit, `space` pixels each. */
export function labelledRows(rows, height, space = 14) {
  const stride = Math.max(1, Math.ceil(space / height));
  return Array.from({length: Math.ceil(rows / stride)}, (_, i) => i * stride);
}

/**
 * Returns the blocks whose names fit, and whether there is room for a second
 * line below. A name that would overlap the one above is left out.
 * @param {Placed} placed
 * @param {number=} zoom how much larger it is drawn
 * @return {{block: Block, lines: number}[]}
 */
export function labelledBlocks({height, blocks}, zoom = 1) {
  let free = 0;
  const labelled = [];
  for (const block of blocks) {
    const top = block.top * zoom;
    if (top < free) continue;
    const lines =
      (block.to - block.from) * height * zoom >= TWO_LINES ? 2 : 1;
    free = top + (lines > 1 ? TWO_LINES : ONE_LINE);
    labelled.push({block, lines});
  }
  return labelled;
}

/** Returns the rows of units whose numbers fit: every one, 2nd, 4th and so on
 * of each group. */
export function labelledUnits({height, blocks}, zoom = 1) {
  let stride = 1;
  while (stride * height * zoom < UNIT_LABEL) stride *= 2;
  return blocks.flatMap(({from, to}) =>
    Array.from({length: Math.ceil((to - from) / stride)},
      (_, i) => from + i * stride)
      // The last one may be too near to the next group's name.
      .filter((row) => row === from || (to - row) * height * zoom >= ONE_LINE));
}
