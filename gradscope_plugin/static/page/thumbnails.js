/** The small heatmaps of the list of runs: one statistic and one scale, so that
 * two runs can be told apart by them. */

import {lookOf} from '../scales/colormap.js';
import {theme} from '../basics/tensorboard.js';
import {makeScale} from '../scales/scale.js';
import {describe} from '../statistics/statistics.js';

const SMALL = 'gradient_norm';

export class Thumbnails {
  #host;
  #grids = new Map();
  #look = null;

  /**
   * @param {{model: Object, isSeen: (run: Object) => boolean,
   *     onNew: () => void}} host
   */
  constructor(host) {
    this.#host = host;
  }

  /** Returns how values look, in the present theme. */
  look() {
    const small = describe(SMALL);
    this.#look = lookOf(makeScale(small), small, theme(), this.#look);
    return this.#look;
  }

  /** Returns the grid of a run, nothing if it is not there yet. */
  of(name) {
    return this.#grids.get(name);
  }

  /** Fetches what is in sight. One after the other: all at once they would keep
   * the server from what is asked for meanwhile, for a second. */
  async follow(listed) {
    for (const run of listed) {
      if (run.error || !this.#host.isSeen(run)) continue;
      const grid = await this.#host.model.thumbnail(run).catch(() => null);
      if (!grid || this.#grids.get(run.name) === grid) continue;
      this.#grids.set(run.name, grid);
      this.#host.onNew();
    }
  }
}
