/** Names beside a heatmap: of its rows, or of the groups of its units. */

import {element} from './dom.js';
import {shorten} from './format.js';
import {labelledBlocks, labelledRows, labelledUnits, topOf} from './places.js';
import {deadText} from './units.js';

/** Returns what to write beside a grid whose rows are placed. */
export function namesOf(grid, placed) {
  return grid.groups ? ofGroups(grid, placed) : ofRows(grid, placed);
}

function ofRows({rows, named}, placed) {
  return labelledRows(rows, placed.height).map((row) => at(
    topOf(placed, row) + placed.height / 2,
    element('span', {title: named[row].name}, shorten(named[row].name))));
}

/** An activation is named once, with its dead units; of its units some. */
function ofGroups({named}, placed) {
  const titles = labelledBlocks(placed).map(({block, lines}) => {
    const text = deadText(block);
    const note = element('small',
      {className: block.dead ? 'alarm' : ''}, text);
    return at(block.top, element('div', {className: 'group',
      title: `${block.name}: ${text || `${block.units} units`}`},
    element('b', {}, shorten(block.name, 20)), ...lines > 1 ? [note] : []));
  });
  const labels = labelledUnits(placed).map((row) => at(
    topOf(placed, row) + placed.height / 2,
    element('span', {className: 'unit'}, named[row].label)));
  return [...titles, ...labels];
}

function at(top, node) {
  node.style.top = `${top}px`;
  return node;
}
