/** A training as a whole: its losses, rates and epochs, see `/curves`. */

/**
 * @typedef {{step: number, epoch: number, values: Object<string, number>}} Epoch
 * @typedef {{steps: Float64Array, values: Map<string, Float32Array>,
 *     epochs: Epoch[], mark: number}} Curves
 */

/**
 * @param {(url: string) => Promise<Response>} get
 * @return {{of: (run: Object) => Promise<Curves>}}
 */
export function createCurves(get) {
  // Of each run what was fetched last, to which what is new is added.
  const fetched = new Map();
  const asked = new Map();

  async function fetchNew(run) {
    const before = fetched.get(run.name);
    const query = new URLSearchParams({run: run.name,
      ...before?.steps.length ? {after: String(before.steps.at(-1)),
        mark: String(before.mark)} : {}});
    const reply = await (await get(`curves?${query}`)).json();
    const curves = joinedCurves(before, reply);
    fetched.set(run.name, curves);
    return curves;
  }

  return {
    of(run) {
      const version = `${run.steps} ${run.last_wall_time}`;
      const last = asked.get(run.name);
      if (last?.version === version) return last.reply;
      const reply = fetchNew(run);
      asked.set(run.name, {version, reply});
      reply.catch(() => asked.delete(run.name));
      return reply;
    },
  };
}

/**
 * Returns the curves of a run with those of a further reply.
 * @param {?Curves} before
 * @param {Object} reply
 * @return {Curves}
 */
export function joinedCurves(before, {start, steps, curves, epochs, mark}) {
  const isMore = before && start === before.steps.length && start > 0;
  const add = (type, old, more) => type.from(
    isMore ? [...old ?? Array(start).fill(NaN), ...more] : more);
  const values = new Map(Object.entries(curves).map(([name, numbers]) =>
    [name, add(Float32Array, before?.values.get(name), numbers.map(Number))]));
  return {steps: add(Float64Array, before?.steps, steps), values, mark,
    epochs: epochs.map((epoch) => ({...epoch, values: Object.fromEntries(
      Object.entries(epoch.values).map(([name, value]) =>
        [name, Number(value)]))}))};
}
