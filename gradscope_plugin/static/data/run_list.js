/** The list of runs, asked again and again; or why the server does not answer. */

import {NAMES} from './requests.js';
import {createColors} from './run_colors.js';

export class Feed {
  /** Null until the server has answered for the first time. */
  runs = null;
  failure = '';
  /** Whether the server is still reading some of them. */
  isPartial = false;
  /** When it answered last, in ms; 0 is never. */
  updated = 0;
  #model;
  // As the server told them last.
  #all = null;
  #colors = createColors();
  // TensorBoard's order of all runs, which tells their colours.
  #named;

  /**
   * @param {Object} model from `createModel`
   * @param {Promise<Response>=} names TensorBoard's runs, asked for already
   */
  constructor(model, names = model.get(NAMES)) {
    this.#model = model;
    this.#named = this.#nameColors(names);
  }

  /**
   * Asks again; returns whether there is anything new, null if somebody asked
   * in the meantime.
   * @param {string[]=} needed runs without which there is nothing to show
   */
  async reload(needed = []) {
    try {
      const all = await this.#model.runs();
      if (!all) return null;
      const isNew = all !== this.#all || this.failure !== '';
      this.isPartial = all.some((run) => run.pending);
      this.#all = all;
      // Of those that the server has not read there is but a name.
      const runs = all.filter((run) => run.error || run.variables);
      const awaited = this.isPartial && (!runs.length || needed.some(
        (name) => !runs.some((run) => run.name === name)));
      if (!this.runs) {
        if (awaited) return false;
        await this.#named;
      }
      this.#colors.see(all.map((run) => run.name));
      if (isNew || !this.runs) this.runs = runs;
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

  async #nameColors(names) {
    try {
      this.#colors.see(await (await names).json());
    } catch {
      // An embedding without that route; the order of our own runs then.
    }
  }
}
