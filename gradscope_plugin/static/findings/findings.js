/** Findings of all runs: asked for, listed, and marked in heatmaps. */

import {createPolling} from './polling.js';
import {createPanel, withKeys} from './panel.js';
import {cellsOf, columnsOf, isWhole, statisticFor} from './marks.js';
import {fetchOk} from '../data/requests.js';
import {statisticsOf} from '../statistics/statistics.js';

/** `node` goes above the heatmaps. */
export class Findings {
  #polling;
  #panel;
  // The finding that was clicked: `{run, key}`.
  #selection = null;
  // Whether its cells are to be brought into sight, once they are drawn.
  #isDue = false;
  #onShowRun;
  #onStatistic;
  #listed = [];

  /**
   * @param {{colorOf: (name: string) => string, onChange: () => void,
   *     onFold: (folded: boolean) => void,
   *     onLayer: (run: string, layer: string) => void,
   *     onShowRun: (name: string) => void,
   *     onStatistic: (name: ?string) => void}} options `onStatistic` is called
   *     with the statistic that a finding is about, or to draw again
   */
  constructor({colorOf, onChange, onFold, onLayer, onShowRun, onStatistic}) {
    this.#polling = createPolling(fetchOk, onChange);
    this.#panel = createPanel({colorOf, onFold, onLayer, onGo: (name, finding) => {
      const run = this.#listed.find((run) => run.name === name);
      this.go(name,
        this.#of(run).find((entry) => entry.finding === finding)?.key);
    }});
    this.#onShowRun = onShowRun;
    this.#onStatistic = onStatistic;
    this.node = this.#panel.node;
  }

  /** Asks for the findings of runs that have changed. */
  follow(runs) {
    return this.#polling.follow(runs);
  }

  /** Returns the server's reply about a run, null before the first. */
  of(run) {
    return this.#polling.of(run);
  }

  /** Goes to a finding of a run, which is shown if it is not. */
  go(name, key) {
    const run = this.#listed.find((run) => run.name === name);
    this.#onShowRun(name);
    this.#go(run, this.#of(run).find((entry) => entry.key === key));
  }

  /** Returns the steps of a run's findings, as spans, the worst first. */
  spansOf(run) {
    return this.#of(run).map(({finding, key}) => {
      const {kind, layer, severity, steps: [from, to]} = finding;
      return {run: run.name, key, severity, from, to,
        title: `${kind}${layer === null ? '' : ` in ${layer}`}`};
    });
  }

  /** Goes to the worst finding of a run, if it has one. */
  goToWorst(run) {
    const [worst] = this.#of(run);
    if (worst) this.#go(run, worst);
  }

  #go(run, entry) {
    this.#selection = {run: run.name, key: entry?.key};
    this.#isDue = true;
    this.#onStatistic(statisticFor(entry.finding, statisticsOf(run)));
  }

  /**
   * Lists the findings of all runs, also of those that are not shown.
   * @param {Object[]} listed
   * @param {Object[]} shown
   * @param {boolean} isPart lists those of the runs that are shown, and counts
   *     the others
   * @param {boolean} folded
   */
  draw(listed, shown, isPart, folded) {
    // An earlier training is no run of today.
    this.#listed = listed.filter((run) => !run.error
      && (!run.earlier_in || shown.includes(run)));
    const all = this.#listed.map((run) => ({run, isShown: shown.includes(run),
      reply: this.#polling.of(run)}));
    this.#panel.update({
      listed: all.filter(({isShown}) => isShown || !isPart),
      unlisted: all.filter(({isShown}) => !isShown && isPart),
      selection: this.#selection, folded});
  }

  /**
   * Returns the outlines in a run's grid; that of the chosen finding comes last,
   * and so lies above the others.
   */
  marksOf(run, grid, rows) {
    const marks = this.#of(run).flatMap(({finding, key}) => {
      const isChosen = this.#isChosen(run, key);
      const cells = cellsOf(finding, run, grid, rows);
      const all = isChosen && !cells.length && finding.layer === null
        ? columnsOf(finding, grid) : cells;
      return all.filter((block) => isChosen || finding.severity === 'error'
        || !isWhole(block, grid)).map((block) =>
        ({cells: block, severity: finding.severity, isChosen}));
    });
    return [...marks].sort(
      (a, b) => Number(a.isChosen) - Number(b.isChosen));
  }

  /** Returns whether a click waits for this run's cells to be drawn. */
  awaits(run) {
    return this.#isDue && this.#selection.run === run.name;
  }

  /** Returns, once after a click, whether to bring this run into sight. */
  takesUp(run) {
    const isDue = this.awaits(run);
    if (isDue) this.#isDue = false;
    return isDue;
  }

  #of(run) {
    return withKeys(this.#polling.of(run)?.findings ?? []);
  }

  #isChosen(run, key) {
    return this.#selection?.run === run.name && this.#selection.key === key;
  }
}
