/** The layer that is open below the heatmap of its run. */

import {layerOf} from '../data/row_names.js';

export class OpenLayer {
  #host;

  /**
   * @param {{view: () => Object, state: Object, parts: () => Object,
   *     axis: () => Object, gridOf: (name: string) => ?Object,
   *     runOf: (name: string) => ?Object}} host
   */
  constructor(host) {
    this.#host = host;
  }

  /** Shows the layer of a row below its run. */
  openRow(name, row) {
    const grid = this.#host.gridOf(name);
    const layer = layerOf(this.#host.runOf(name), grid.named[row]);
    if (layer) this.open(name, layer);
  }

  /** Shows a layer below its run. */
  open(name, layer) {
    this.#host.state.set({layer: {run: name, layer}});
    this.#host.parts().detail.focus();
  }

  /** Closes it; the keyboard goes back to where it came from. */
  close() {
    const part = this.#host.parts().heatmaps.of(this.#host.view().layer?.run);
    this.#host.state.set({layer: null});
    part?.focus();
  }

  /** Puts the open layer below its run, if that is shown. */
  draw() {
    const {layer, zoom} = this.#host.view();
    const {heatmaps, detail} = this.#host.parts();
    const part = layer && heatmaps.of(layer.run);
    const run = this.#host.runOf(layer?.run);
    if (!part || !run || run.error) {
      detail.hide();
      return;
    }
    if (detail.node.parentNode !== part.more) part.more.append(detail.node);
    detail.update(run, layer.layer, zoom, this.#host.axis());
  }
}
