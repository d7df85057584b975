/** The curves of the runs that are shown, for the strip above the heatmaps. */

export class TrainingCurves {
  #host;
  #curves = new Map();

  /** @param {{model: Object, onNew: () => void}} host */
  constructor(host) {
    this.#host = host;
  }

  /** Returns those of a run, nothing if they are not there yet. */
  of(name) {
    return this.#curves.get(name);
  }

  /** Fetches what is new of some runs, one after the other. */
  async follow(runs) {
    for (const run of runs) {
      const curves = await this.#host.model.curves(run).catch(() => null);
      if (!curves || this.#curves.get(run.name) === curves) continue;
      this.#curves.set(run.name, curves);
      this.#host.onNew();
    }
  }
}
