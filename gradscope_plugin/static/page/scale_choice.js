/** The colours of the heatmaps: their scale, which the legend sets. */

import {NUMBER, outside} from '../data/cell_kinds.js';
import {lookOf} from '../scales/colormap.js';
import {theme} from '../basics/tensorboard.js';
import {fitDomain, isDomain, isFlat, makeScale} from '../scales/scale.js';
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
    const stored = domains[statistic];
    // What an earlier version stored may not fit the statistic any more.
    const isDefault = !isDomain(stored, description.scale);
    const fixed = makeScale(description);
    // Of one colour it would show nothing.
    const fitted = isDefault && isFlat(this.#ranges(), fixed)
      ? fitDomain(this.#ranges(), description.scale) : null;
    const scale = fitted ? makeScale({...description, domain: fitted})
      : isDefault ? fixed : makeScale({...description, domain: stored});
    this.look = lookOf(scale, description, theme(), this.look);
    this.#host.legend().update({description, scale, look: this.look,
      isDefault, isFitted: Boolean(fitted), count: outside(this.#host.grids(), scale)});
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
    const domain = fitDomain(this.#ranges(), scale);
    if (domain) this.setDomain(domain);
  }

  /** Has the scale of the statistic, although all is of one colour there. */
  fix() {
    this.setDomain(describe(this.#host.view().statistic).domain);
  }

  /** Returns the smallest and the largest number of what is shown. */
  #ranges() {
    return this.#host.grids().map(rangeOf);
  }
}

// The page is drawn with each answer, and would search all cells each time.
const ranges = new WeakMap();

/** Returns a grid's smallest and largest number, which is none of its marks. */
function rangeOf(grid) {
  if (!ranges.has(grid)) {
    let [low, high] = [Infinity, -Infinity];
    for (let cell = 0; cell < grid.values.length; cell++) {
      if (grid.kinds[cell] !== NUMBER) continue;
      low = Math.min(low, grid.values[cell]);
      high = Math.max(high, grid.values[cell]);
    }
    ranges.set(grid, Float32Array.of(low, high));
  }
  return ranges.get(grid);
}
