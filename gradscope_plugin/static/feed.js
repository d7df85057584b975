/** The list of runs as the server tells it, and whether it does. */

import {createColors} from './colors.js';

export class Feed {
  /** Null until the server has answered for the first time. */
  runs = null;
  failure = '';
  /** When it answered last, in ms; 0 is never. */
  updated = 0;
  #model;
  #colors = createColors();
  // TensorBoard's order of all runs, which tells their colours.
  #named;

  constructor(model) {
    this.#model = model;
    this.#named = this.#nameColors();
  }

  /** Asks again; returns whether there is anything new, null if somebody asked
   * in the meantime. */
  async reload() {
    try {
      const runs = await this.#model.runs();
      if (!runs) return null;
      const isNew = runs !== this.runs || this.failure !== '';
      if (!this.runs) await this.#named;
      this.#colors.see(runs.map((run) => run.name));
      this.runs = runs;
      this.failure = '';
      this.updated = Date.now();
      return isNew;
    } catch (error) {
      this.failure = error.message || 'no answer';
      return true;
    }
  }

  /** Returns the run of a name, nothing if there is none. */
  of(name) {
    return this.runs?.find((run) => run.name === name);
  }

  /** Returns a run's colour. */
  colorOf(name, theme) {
    return this.#colors.of(name, theme);
  }

  async #nameColors() {
    try {
      const response = await this.#model.get('../../runs');
      this.#colors.see(await response.json());
    } catch {
      // An embedding without that route; the order of our own runs then.
    }
  }
}
