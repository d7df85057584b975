/** Cursor, zoom and the layer that is open: what moves without a request. */

import {layerOf} from '../data/row_names.js';

// What moves all the time is stored when it rests, in ms.
const REST = 400;

export class Pointing {
  #host;
  #timer = 0;

  /**
   * @param {{view: () => Object, state: Object, parts: () => Object,
   *     gridOf: (name: string) => ?Object, runOf: (name: string) => ?Object,
   *     isSeen: (name: string) => boolean}} host
   */
  constructor(host) {
    this.#host = host;
  }

  /** Shows another part of all heatmaps. */
  setZoom(zoom) {
    const view = this.#host.view();
    if (zoom === view.zoom) return;
    view.zoom = zoom;
    const {heatmaps, comparison, detail} = this.#host.parts();
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
    const {heatmaps, comparison, detail, readout} = this.#host.parts();
    const cell = heatmaps.drawCursor(cursor, this.#host.isSeen);
    const ratio = comparison.drawCursor(cursor);
    detail.drawCursor(cursor);
    readout.update(cell ?? ratio, aloud);
  }

  /** Shows the layer of a row below its run. */
  openLayer(name, row) {
    const grid = this.#host.gridOf(name);
    const layer = layerOf(this.#host.runOf(name), grid.named[row]);
    if (!layer) return;
    this.#host.state.set({layer: {run: name, layer}});
    this.#host.parts().detail.focus();
  }

  /** Closes it; the keyboard goes back to where it came from. */
  closeLayer() {
    const part = this.#host.parts().heatmaps.of(this.#host.view().layer?.run);
    this.#host.state.set({layer: null});
    part?.focus();
  }

  /** Puts the open layer below its run, if that is shown. */
  drawLayer() {
    const {layer, zoom} = this.#host.view();
    const {heatmaps, detail} = this.#host.parts();
    const part = layer && heatmaps.of(layer.run);
    const run = this.#host.runOf(layer?.run);
    if (!part || !run || run.error) {
      detail.hide();
      return;
    }
    if (detail.node.parentNode !== part.more) part.more.append(detail.node);
    detail.update(run, layer.layer, zoom);
  }

  #noteSoon() {
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => this.#host.state.note({}), REST);
  }
}
