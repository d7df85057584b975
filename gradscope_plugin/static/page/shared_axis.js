/** The axis of steps of all that is shown, made anew only when it changes. */

import {makeAxis} from '../scales/step_axis.js';

/** @return {(kind: string, runs: Object[], grids: Object[]) =>
 *     import('../scales/step_axis.js').StepAxis} */
export function createSharedAxis() {
  let axis = makeAxis('linear', []);
  let before = [];
  return (kind, runs, grids) => {
    const loaded = grids.filter(({columns}) => columns);
    const now = [kind, ...loaded.map(({steps}) => steps),
      ...runs.flatMap((run) => [run.first_step, run.last_step])];
    if (now.length === before.length
      && now.every((item, i) => item === before[i])) {
      return axis;
    }
    before = now;
    axis = makeAxis(kind, listsOf(kind, runs, loaded));
    return axis;
  };
}

/** Returns the steps that an axis has. Where runs begin and end is known before
 * their numbers are there; a preview ends with a long step. */
function listsOf(kind, runs, grids) {
  const lists = grids.map(({steps}) => steps);
  if (kind === 'columns' && lists.length) return lists;
  return [...lists.filter((_, i) => !grids[i].preview), ...runs.flatMap(
    ({first_step: first, last_step: last}) => [[first], [last]])];
}
