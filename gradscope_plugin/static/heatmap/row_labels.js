/** Names beside a heatmap: of its rows, its blocks, or groups of its units. */

import {element} from '../basics/dom.js';
import {shorten} from '../basics/format.js';
import {
  HIGHEST, blockAt, labelledBlocks, labelledRows, labelledUnits, topOf,
} from './row_places.js';
import {deadText} from '../data/dead_units.js';

const SPACE = 14;
// A little closer where a block's name is among them.
const LINE = 12;

// Names of so many letters have room in narrow windows, too.
const LONG = 15;

/**
 * Returns the labels beside a grid whose rows are placed.
 * @param {Object} grid
 * @param {import('./row_places.js').Placed} placed
 * @param {number[]} heights those that are seen
 * @param {number} size of the heatmap in pixels
 * @param {Map<number, {lead: number}>} folded which row of a block is drawn
 * @param {(name: string) => void} onFold
 * @param {?(row: number) => void} onOpen null where rows are of no layer
 * @return {HTMLElement[]}
 */
export function namesOf(grid, placed, heights, size, folded, onFold, onOpen) {
  const zoom = size / (heights[1] - heights[0]);
  const at = (top, node) => {
    const y = (top - heights[0]) * zoom;
    if (y < -2 || y > Math.min(size, HIGHEST) + 2) return [];
    node.style.top = `${y}px`;
    return [node];
  };
  if (grid.groups) return ofGroups(grid, placed, zoom, at, onOpen);
  if (placed.blocks.length > 1) {
    return ofBlocks(grid, placed, {heights, zoom, at, onOpen}, folded, onFold);
  }
  return labelledRows(grid.rows, placed.height * zoom, SPACE).flatMap(
    (row) => at(topOf(placed, row) + placed.height / 2,
      rowName(grid.named[row].name, () => onOpen(row), !onOpen)));
}

/** Returns a name that shows its layer on a click; the cells have a key for it. */
function rowName(name, onclick, isPlain, text = name) {
  const parts = partsOf(shorten(text));
  return element('span', {title: name}, ...isPlain ? parts
    : [element('button', {type: 'button', tabIndex: -1, onclick}, ...parts)]);
}

/** Returns a name whose first part gives way where there is little room: its end
 * tells rows apart. */
function partsOf(text) {
  const letters = Array.from(text);
  const half = Math.ceil(letters.length / 2);
  return letters.length <= LONG ? [text]
    : [element('i', {}, letters.slice(0, half).join('')),
      element('i', {className: 'end'}, letters.slice(half).join(''))];
}

/** A folded block is one line, an open one a line and its rows. */
function ofBlocks({named}, placed, {heights, zoom, at, onOpen}, folded,
    onFold) {
  let free = -Infinity;
  return placed.blocks.flatMap((block) => {
    const {name, from, to, top, head, isFolded} = block;
    const isTitled = isFolded || head !== undefined;
    // While its rows are scrolled through, an open block's name stays.
    const bottom = top + (to - from) * placed.height;
    const stays = heights[0] > (head ?? top) && heights[0] + LINE < bottom;
    const middle = (isFolded ? top : stays ? heights[0] : head ?? top) + 8 / zoom;
    const y = middle * zoom;
    const nodes = [];
    if (isTitled && y >= free) {
      nodes.push(...at(middle, element('button',
        {type: 'button', tabIndex: -1, className: 'fold',
          title: foldTitle(block, named[folded.get(from)?.lead]),
          onclick: () => onFold(name)},
        `${isFolded ? '▸' : '▾'} `, ...foldParts(name), ` (${to - from})`)));
      free = y + LINE;
    }
    if (isFolded) return nodes;
    const prefix = `${name}/`;
    for (let row = from; row < to; row++) {
      const center = topOf(placed, row) + placed.height / 2;
      if (center * zoom < free) continue;
      free = center * zoom + LINE;
      const full = named[row].name;
      const short = full.startsWith(prefix) ? full.slice(prefix.length) : full;
      nodes.push(...at(center,
        rowName(full, () => onOpen(row), !onOpen, short)));
    }
    return nodes;
  });
}

/** Returns a block's name. Of `block_1 … block_20` it says once what both share,
 * which gives way: the numbers tell blocks apart. */
function foldParts(name) {
  const [, shared, first, last] = /^(.*?)(\d+) … \1(\d+)$/.exec(name) ?? [];
  return first === undefined ? [element('b', {}, shorten(name, 16))]
    : [element('i', {}, shared),
      element('i', {className: 'end'}, `${first}–${last}`)];
}

function foldTitle({name, from, to}, lead) {
  return lead ? `${name}: drawn is ${lead.name}, one of ${to - from} rows` : name;
}

/**
 * An activation is named once, with its dead units; of its units some.
 * @param {any} grid
 * @param {any} placed
 * @param {number} zoom
 * @param {Function} at
 * @param {(row: number) => void} onOpen
 */
function ofGroups({named}, placed, zoom, at, onOpen) {
  const titles = labelledBlocks(placed, zoom).flatMap((labelled) => {
    const {lines} = labelled;
    /** @type {any} */
    const block = labelled.block;
    const text = deadText(block);
    const note = element('small',
      {className: block.dead ? 'alarm' : ''}, text);
    return at(block.top, element('div', {className: 'group',
      title: `${block.name}: ${text || `${block.units} units`}`},
    element('button', {type: 'button', tabIndex: -1, onclick: () =>
      onOpen(block.from)}, element('b', {}, shorten(block.name, 20))),
    ...lines > 1 ? [note] : []));
  });
  // The first one's number is no higher than the name beside it.
  const labels = labelledUnits(placed, zoom).flatMap((row) => at(Math.max(
    topOf(placed, row) + placed.height / 2,
    blockAt(placed, row).top + LINE / 2 / zoom),
    element('span', {className: 'unit'}, named[row].label)));
  return [...titles, ...labels];
}
