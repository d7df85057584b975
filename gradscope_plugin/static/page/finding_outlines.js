/** Outlines of findings in the heatmaps, and the one that a run begins with. */

import {describe} from '../statistics/statistics.js';

export class Outlining {
  #host;
  // The run that was opened, until its worst finding is shown.
  #opened = '';

  /**
   * @param {{view: () => Object, parts: () => Object, cursor: Object,
   *     gridOf: (run: Object) => ?Object}} host
   */
  constructor(host) {
    this.#host = host;
  }

  /** Notes that a run is opened, whose worst finding is shown once it is
   * known; none if the name is empty. */
  open(name) {
    this.#opened = name;
  }

  /** Outlines what the findings of the runs that are shown are about. */
  draw(shown) {
    const opened = shown.find((run) => run.name === this.#opened);
    if (opened) this.#goToWorst(opened);
    for (const run of shown) {
      const grid = this.#host.gridOf(run);
      if (grid) this.#drawOf(run, grid);
    }
  }

  #goToWorst(run) {
    const {findings} = this.#host.parts();
    if (run.error || !findings.of(run)) return;
    this.#opened = '';
    findings.goToWorst(run);
  }

  #drawOf(run, grid) {
    const {findings, heatmaps, header} = this.#host.parts();
    const {statistic, rows} = this.#host.view();
    const marks = findings.marksOf(run, grid, describe(statistic).rows ?? rows);
    const part = heatmaps.of(run.name);
    part.showMarks(marks);
    if (grid.preview || !findings.takesUp(run)) return;
    const isFixed = getComputedStyle(header).position === 'sticky';
    const cells = marks.find((mark) => mark.isChosen)?.cells;
    part.reveal(isFixed ? header.offsetHeight : 0, cells);
    if (!cells) return;
    this.#host.cursor.note(run.name, grid, cells.from, cells.first);
  }
}
