/** Which runs are listed, shown, compared and diagnosed. */

import {runLabel} from '../basics/format.js';
import {chooseRuns} from './view_state.js';

// Numbers of a run that is diagnosed again whenever it grows, although nobody
// looks at it: of 300,000 it takes a second, of a million five.
const CHEAP = 300_000;

/**
 * Returns the runs that are listed, the worst first, and those shown.
 * @param {Object[]} runs
 * @param {Object} view see `view_state.js`
 * @param {(run: Object) => number} rank smaller is worse
 * @param {(run: Object) => number=} firstRank the same for the runs that are
 *     shown while nobody has chosen, see `FirstRanks`
 * @return {{listed: Object[], shown: Object[], error: string}}
 */
export function chosenRuns(runs, view, rank, firstRank = rank) {
  const {listed, shown, error} = chooseRuns(runs, view, runLabel, firstRank);
  const sorted = (all) => [...all].sort((a, b) => rank(a) - rank(b));
  const pair = view.pins.map((name) => runs.find((run) => run.name === name))
    .filter((run) => run && !run.error);
  const isPair = view.comparing && pair.length === 2;
  return {listed: sorted(listed), shown: isPair ? pair : sorted(shown), error};
}

/** Ranks that stay once all runs are diagnosed, or somebody uses the page: no
 * heatmap comes or goes under a reader's eyes. */
export class FirstRanks {
  #ranks = new Map();
  #isSettled = false;

  /** Nothing changes from now on but for runs that are new. */
  settle() {
    this.#isSettled = true;
  }

  /**
   * @param {Object[]} runs
   * @param {(run: Object) => number} rank
   * @param {(run: Object) => boolean} isDiagnosed
   * @return {(run: Object) => number}
   */
  of(runs, rank, isDiagnosed) {
    for (const run of runs) {
      if (this.#isSettled && this.#ranks.has(run.name)) continue;
      this.#ranks.set(run.name, rank(run));
    }
    if (runs.length && runs.every((run) => run.error || isDiagnosed(run))) {
      this.settle();
    }
    return ({name}) => this.#ranks.get(name);
  }
}

/**
 * Returns the runs to diagnose, those that are shown first and large ones last.
 * Each is diagnosed once, since what is found is counted over all runs; a large
 * one again only while somebody looks at it, an earlier training if shown.
 * @param {Object[]} listed
 * @param {Object[]} shown those of them that can be read
 * @param {(run: Object) => boolean} isSeen whether its card is
 * @param {(run: Object) => boolean} isDiagnosed
 */
export function toDiagnose(listed, shown, isSeen, isDiagnosed) {
  const isSmall = (run) => run.steps * run.variables.length < CHEAP;
  const unshown = listed.filter((run) => !run.error && !run.earlier_in
    && !shown.includes(run));
  const isFirst = (run) => isSmall(run) || isSeen(run);
  return [...shown, ...unshown.filter(isFirst),
    ...unshown.filter((run) => !isFirst(run) && !isDiagnosed(run))];
}
