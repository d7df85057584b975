/** All requests to the server; replies that come too late are dropped. */

import {fetchGrid} from './grid.js';

// Grids kept, so that going back to a statistic is instant. 5000 steps of 200
// layers are 5 MB each.
const CACHED_GRIDS = 24;

/**
 * @param {(url: string) => Promise<Response>} get fetches a relative URL
 */
export function createModel(get = fetchOk) {
  const cache = new Map();
  let reloads = 0;
  let shows = 0;

  function cached(run, statistic, rows) {
    const key = JSON.stringify(
      [run.name, statistic, rows, run.steps, run.last_wall_time]);
    if (!cache.has(key)) {
      const reply = fetchGrid(get, run, statistic, rows);
      cache.set(key, reply);
      reply.catch(() => cache.delete(key));
      if (cache.size > CACHED_GRIDS) cache.delete(cache.keys().next().value);
    }
    return cache.get(key);
  }

  return {
    /** Returns the list of runs, null if asked again in the meantime. */
    async runs() {
      const mine = ++reloads;
      const reply = await (await get('runs')).json();
      return mine === reloads ? reply : null;
    },

    /**
     * Calls `show(run, grid)`, or `show(run, null, error)`, for each run,
     * unless asked for others in the meantime.
     */
    grids(runs, statistic, rows, show) {
      const mine = ++shows;
      const current = (call) => (reply) => {
        if (mine === shows) call(reply);
      };
      return Promise.all(runs.map((run) => cached(run, statistic, rows).then(
        current((reply) => show(run, reply)),
        current((error) => show(run, null, error.message)),
      )));
    },
  };
}

/** Fetches a relative URL; an error is the text that the server gives. */
export async function fetchOk(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(await response.text());
  return response;
}
