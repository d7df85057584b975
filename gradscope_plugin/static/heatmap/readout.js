/** What is at the cursor, in words. */

import {columnOf} from '../scales/axis.js';
import {KIND_NAMES, NUMBER} from '../data/cell_kinds.js';
import {element} from '../basics/dom.js';
import {exact} from '../basics/format.js';
import {silenceText} from '../data/dead_units.js';

/**
 * Returns a grid's value in the row and step of a cursor; an empty text where
 * it has no such row. Says so when the step recorded before is another one.
 */
export function valueAt(grid, cursor, write = exact) {
  const cell = cellAt(grid, cursor);
  if (cell === null) return '';
  const kind = grid.kinds[cell];
  const text = kind === NUMBER ? write(grid.values[cell]) : KIND_NAMES[kind];
  const step = grid.steps[cell % grid.columns];
  return step === cursor.step ? text : `${text} (step ${step})`;
}

/** Returns since when the unit at a cursor is silent, where that is known. */
export function silenceAt(grid, cursor) {
  const cell = cellAt(grid, cursor);
  if (cell === null || !grid.silence) return '';
  const {idle, fired} = grid.silence;
  return silenceText(
    grid.named[Math.floor(cell / grid.columns)], idle[cell], fired[cell]);
}

function cellAt(grid, cursor) {
  const row = cursor && grid
    ? grid.named.findIndex(({name}) => name === cursor.name) : -1;
  return row < 0 ? null
    : row * grid.columns + columnOf(grid.steps, cursor.step);
}

/** The line above the heatmaps, read aloud while the keyboard is used. */
export function createReadout() {
  const node = element('p', {className: 'readout', 'aria-live': 'off'});
  return {
    node,

    /**
     * @param {?{step: number, row: {name: string, shapes: string},
     *     label: string, color: string, text: string, more: string}} cell
     * @param {boolean} aloud
     */
    update(cell, aloud) {
      node.setAttribute('aria-live', aloud ? 'polite' : 'off');
      if (!cell) {
        node.replaceChildren(element('span', {className: 'hint'},
          'Point at a cell, or use Tab',
          element('span', {className: 'spare'}, ' and the arrow keys')));
        return;
      }
      const dot = element('span', {className: 'dot'});
      dot.style.background = cell.color;
      // Where there is little room the place gives way, then the name of the
      // row, and not the value.
      node.replaceChildren(dot,
        element('span', {className: 'place'},
          `${cell.label} · step ${cell.step} · `),
        element('b', {className: 'name'}, cell.row.name),
        element('span', {className: 'place'},
          cell.row.shapes ? ` ${cell.row.shapes}` : ''),
        element('span', {}, ' · ', element('b', {className: 'value'}, cell.text)),
        element('span', {className: 'place'}, cell.more ? ` · ${cell.more}` : ''));
    },
  };
}
