/** The colours of the heatmaps: their scale, which the legend sets. */

import {outside} from '../data/cell_kinds.js';
import {lookOf} from '../scales/colormap.js';
import {theme} from '../basics/tensorboard.js';
import {fitDomain, isDomain, makeScale} from '../scales/scale.js';
import {describe} from '../statistics/statistics.js';

export class Scaling {
  #host;
  /** How values look in all heatmaps, see `lookOf`. */
  look = null;

  /**
   * @param {{view: () => Object, set: (changes: Object) => void,
   *     legend: () => Object, grids: () => Object[]}} host
   */
  constructor(host) {
    this.#host = host;
  }

  /**
   * Draws the legend of a statistic.
   * @return {Object} its scale
   */
  draw(description) {
    const {domains, statistic} = this.#host.view();
    const chosen = domains[statistic];
    // What an earlier version stored may not fit the statistic any more.
    const isDefault = !isDomain(chosen, description.scale);
    const scale = makeScale(
      {...description, domain: isDefault ? description.domain : chosen});
    this.look = lookOf(scale, description, theme(), this.look);
    this.#host.legend().update({description, scale, look: this.look,
      isDefault, count: outside(this.#host.grids(), scale)});
    return scale;
  }

  /** Sets the ends of the scale; the usual ones if undefined. */
  setDomain(domain) {
    const {statistic, domains} = this.#host.view();
    this.#host.set({domains: {...domains, [statistic]: domain}});
  }

  /** Has the scale end where the values that are shown end. */
  fit() {
    const {scale} = describe(this.#host.view().statistic);
    const values = this.#host.grids().map((grid) => grid.values);
    const domain = fitDomain(values, scale);
    if (domain) this.setDomain(domain);
  }
}
