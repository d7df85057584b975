/** Cursor and zoom: what moves all parts of the page without a request. */

// What moves all the time is stored when it rests, in ms.
const REST = 400;

export class CursorAndZoom {
  #host;
  #timer = 0;

  /**
   * @param {{view: () => Object, state: Object, parts: () => Object,
   *     gridOf: (name: string) => ?Object, isSeen: (name: string) => boolean}} host
   */
  constructor(host) {
    this.#host = host;
  }

  /** Shows another part of all heatmaps. */
  setZoom(zoom) {
    const view = this.#host.view();
    if (zoom === view.zoom) return;
    view.zoom = zoom;
    const {heatmaps, comparison, detail, strip} = this.#host.parts();
    strip.setZoom(zoom);
    heatmaps.setZoom(zoom, this.#host.isSeen);
    comparison.setZoom(zoom);
    detail.setZoom(zoom);
    this.#noteSoon();
  }

  /** Notes a cell of a grid as the cursor's. */
  note(run, grid, row, column) {
    this.#host.view().cursor = {run, step: grid.steps[column],
      name: grid.named[row].name};
    this.#noteSoon();
  }

  /** Moves the cursor to a step, in the row that it is in. */
  toStep(step) {
    const view = this.#host.view();
    view.cursor = {run: '', name: '', ...view.cursor, step};
    this.#noteSoon();
    this.draw(false);
  }

  /** Moves the cursor, and tells its cell; aloud if a key moved it. */
  move({run, row, column}, byKey) {
    const grid = this.#host.gridOf(run);
    if (!grid) return;
    this.note(run, grid, row, column);
    this.draw(byKey);
    if (grid.silence) return;
    grid.learn?.().then(() => this.draw(byKey));
  }

  /** Shows the cursor's step in all runs, its cell in one. */
  draw(aloud) {
    const {cursor} = this.#host.view();
    const {heatmaps, comparison, detail, readout, strip} = this.#host.parts();
    strip.drawCursor(cursor);
    const cell = heatmaps.drawCursor(cursor, this.#host.isSeen);
    const ratio = comparison.drawCursor(cursor);
    detail.drawCursor(cursor);
    readout.update(cell ?? ratio, aloud);
  }

  #noteSoon() {
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => this.#host.state.note({}), REST);
  }
}
