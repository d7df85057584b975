/** What the detail of one layer asks for; only what is new of it. */

import {fetchGrid} from '../data/grid.js';
import {fetchMatrix, rowOf} from '../data/matrices.js';

// Histograms of a live run are asked for again so often, in ms.
const HISTOGRAMS = 15_000;

export const KINDS = ['gradients', 'weights', 'updates'];

/**
 * @param {(url: string) => Promise<Response>} get
 * @param {string} layer
 */
export function createLayerData(get, layer) {
  const seriesMatrices = new Map();
  const unitMatrices = new Map();
  const histograms = new Map();

  /** Returns all statistics of one row: `{steps, of: (name) => values}`. */
  async function series(run, rows, only, names) {
    const key = `${rows} ${only}`;
    const matrix = await fetchMatrix(get, 'series',
      {run: run.name, rows, only}, seriesMatrices.get(key));
    seriesMatrices.set(key, matrix);
    return {steps: matrix.steps,
      of: (name) => (names.includes(name)
        ? rowOf(matrix, names.indexOf(name)) : null)};
  }

  return {
    /** Returns the reply of `/layer`. */
    async facts(run) {
      const query = new URLSearchParams({run: run.name, layer});
      return (await get(`layer?${query}`)).json();
    },

    /** Returns the series of the layer and of its activations and states. */
    async series(run, {variables, activations, states}) {
      const of = (rows, key) => (name) => series(run, rows, name, run[key])
        .then((columns) => ({name, ...columns}));
      const requests = {
        variables: variables.length ? [layer].map(of('layers', 'statistics'))
          : [],
        activations: run.activation_statistics.length
          ? activations.map(of('activations', 'activation_statistics')) : [],
        states: run.state_statistics.length
          ? states.map(of('state', 'state_statistics')) : [],
      };
      const [ofLayer, ofActivations, ofStates] = await Promise.all(
        Object.values(requests).map((all) => Promise.all(all)));
      return {ofLayer: ofLayer[0] ?? null, activations: ofActivations,
        states: ofStates};
    },

    /** Returns the map of an activation's units, null if there is none. */
    async units(run, activation) {
      if (!run.unit_statistics.length) return null;
      const matrices = unitMatrices.get(activation) ?? new Map();
      unitMatrices.set(activation, matrices);
      const grid = await fetchGrid(get, run, 'unit_activity', 'layers',
        {only: activation, matrices});
      return grid.rows ? grid : null;
    },

    /** Returns the histograms of a variable; may be some seconds old. */
    histogram(run, variable, kind, now = Date.now()) {
      const key = `${kind} ${variable}`;
      const last = histograms.get(key);
      if (last && (last.steps === run.steps
        || now - last.time < HISTOGRAMS)) return last.reply;
      const reply = fetchMatrix(get, 'histograms',
        {run: run.name, variable, kind});
      histograms.set(key, {reply, time: now, steps: run.steps});
      reply.catch(() => histograms.delete(key));
      return reply;
    },
  };
}
