/** The curves of the runs that are shown, for the strip above the heatmaps. */

export class TrainingCurves {
  #host;
  #curves = new Map();
  #answered = new Set();

  /** @param {{model: Object, onNew: () => void}} host */
  constructor(host) {
    this.#host = host;
  }

  /** Returns those of a run, nothing if they are not there yet. */
  of(name) {
    return this.#curves.get(name);
  }

  /** Whether those of none of some runs have been answered yet. */
  awaits(runs) {
    return runs.length > 0 && !runs.some(({name}) => this.#answered.has(name));
  }

  /** Fetches what is new of some runs, one after the other. */
  async follow(runs) {
    for (const run of runs) {
      const curves = await this.#host.model.curves(run).catch(() => null);
      const isFirst = !this.#answered.has(run.name);
      this.#answered.add(run.name);
      if (curves && this.#curves.get(run.name) !== curves) {
        this.#curves.set(run.name, curves);
        this.#host.onNew();
      } else if (isFirst) {
        this.#host.onNew();
      }
    }
  }
}
