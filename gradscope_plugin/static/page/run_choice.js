/** Which runs are listed, shown, compared and diagnosed; pure. */

import {runLabel} from '../basics/format.js';
import {chooseRuns} from './view_state.js';

// Numbers of a run that is diagnosed although nobody looks at it: of 300,000
// it takes a second, of a million five.
const CHEAP = 300_000;

/**
 * Returns the runs that are listed, the worst first, and those shown.
 * @param {Object[]} runs
 * @param {Object} view see `state.js`
 * @param {(run: Object) => number} rank smaller is worse
 * @return {{listed: Object[], shown: Object[], error: string}}
 */
export function chosenRuns(runs, view, rank) {
  const {listed, shown, error} = chooseRuns(runs, view, runLabel);
  const sorted = (all) => [...all].sort((a, b) => rank(a) - rank(b));
  const pair = view.pins.map((name) => runs.find((run) => run.name === name))
    .filter((run) => run && !run.error);
  const isPair = view.comparing && pair.length === 2;
  return {listed: sorted(listed), shown: isPair ? pair : sorted(shown), error};
}

/**
 * Returns the runs to diagnose, those that are shown first: the list is sorted
 * by what is found.
 * @param {Object[]} listed
 * @param {Object[]} shown those of them that can be read
 * @param {(run: Object) => boolean} isSeen whether its card is
 */
export function toDiagnose(listed, shown, isSeen) {
  const size = (run) => run.steps * run.variables.length;
  return [...shown, ...listed.filter((run) => !run.error
    && !shown.includes(run) && (size(run) < CHEAP || isSeen(run)))];
}
