/** Units, row by row: which are dead, how many, and since when; pure. */

import {DEAD} from './cell_kinds.js';

// Functions whose units can be dead, as the record's writer has it.
const DIES = ['relu', 'relu6'];

/** Marks the cells of units that are dead; a group, where all of it is. */
export function markDead(kinds, dead) {
  dead.forEach((share, cell) => {
    if (share === 1) kinds[cell] = DEAD;
  });
}

/**
 * Returns the activations that a map's rows are of.
 * @param {{group: string, kind: string, size: number}[]} named its rows
 * @param {?Float32Array} dead `unit_dead`, row by row
 * @param {number} columns
 * @return {{name: string, from: number, to: number, units: number,
 *     dead: number, canDie: boolean}[]} its rows, `to` excluded; how many units
 *     were dead in the last column, NaN where that is not known
 */
export function groupsOf(named, dead, columns) {
  const groups = [];
  named.forEach(({group, kind, size}, row) => {
    if (groups.at(-1)?.name !== group) {
      groups.push({name: group, from: row, units: 0, dead: 0,
        canDie: DIES.includes(kind)});
    }
    const last = groups.at(-1);
    last.to = row + 1;
    last.units += size;
    // Of a share of 32 units float32 keeps more digits than are needed here.
    last.dead += Math.round(
      size * (dead ? dead[(row + 1) * columns - 1] : NaN));
  });
  return groups;
}

/** Returns how many units of a group are dead, an empty text if unknown. */
export function deadText({units, dead, canDie}) {
  if (!canDie) return 'cannot die';
  if (Number.isNaN(dead)) return '';
  return dead ? `${dead} of ${units} dead` : 'none dead';
}

/**
 * Returns how many units of all groups are dead in the last step.
 * @return {?{text: string, alarming: boolean}} null where that is not known
 */
export function deadIn(grid) {
  const groups = (grid?.groups ?? []).filter(({dead}) => !Number.isNaN(dead));
  if (!groups.length) return null;
  const sum = (key) => groups.reduce((total, group) => total + group[key], 0);
  const all = {units: sum('units'), dead: sum('dead'), canDie: true};
  return {alarming: all.dead > 0,
    text: `${deadText(all)} at step ${grid.steps.at(-1)}`};
}

/**
 * Returns since when a unit is silent, in words.
 * @param {{size: number}} row
 * @param {number} idle `unit_idle_examples` of a cell
 * @param {number} fired its `unit_last_fired`
 */
export function silenceText({size}, idle, fired) {
  if (Number.isNaN(idle)) return '';
  const who = size > 1 ? `the most silent of its ${size} units was ` : '';
  const examples = `${idle} example${idle === 1 ? '' : 's'}`;
  if (Number.isNaN(fired)) return `${who}never above zero in ${examples}`;
  return idle === 0 ? `${who}above zero in step ${fired}`
    : `${who}last above zero in step ${fired}, ${examples} ago`;
}
