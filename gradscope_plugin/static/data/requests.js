/** All requests to the server; replies that come too late are dropped. */

import {createCurves} from './curves.js';
import {nameDirectory} from '../basics/format.js';
import {fetchGrid} from './grid.js';

// Grids kept, so that going back to a statistic is instant. 5000 steps of 200
// layers are 5 MB each.
const CACHED_GRIDS = 24;

// Of more numbers than these some are shown first: `python -m benchmarks.plugin`
// says how much sooner TensorBoard's data server has a preview.
const LARGE = 100_000;

/** What the list of runs is asked for by. */
export const RUNS = 'runs?soon=1';

/** What TensorBoard's names of all runs are asked for by. */
export const NAMES = '../../runs';

// The server's answer to what takes it long: it waits a while for it, and the
// page comes back after so long, in ms.
const NOT_YET = 202;
const AGAIN = 20;

// A small heatmap of a live run is drawn again so often, in ms.
const THUMBNAIL = 20_000;

/**
 * @param {(url: string) => Promise<Response>} get fetches a relative URL
 * @param {?Promise<Response>=} first list of runs, asked for already
 */
export function createModel(get = fetchOk, first = null) {
  const cache = new Map();
  // Of each run the matrices fetched last, to which what is new is added.
  const matrices = new Map();
  const thumbnails = new Map();
  const previews = new Map();
  // Of each run the key of what was asked for last.
  const newestKeys = new Map();
  let reloads = 0;
  let shows = 0;
  let listing = {mark: '', runs: null};

  const keyOf = (run, statistic, rows) => JSON.stringify(
    [run.name, statistic, rows, run.steps, run.last_wall_time]);

  function cached(run, statistic, rows) {
    const key = keyOf(run, statistic, rows);
    if (!cache.has(key)) {
      if (!matrices.has(run.name)) matrices.set(run.name, new Map());
      const reply = fetchGrid(get, run, statistic, rows,
        {matrices: matrices.get(run.name)});
      cache.set(key, reply);
      reply.catch(() => cache.delete(key));
      if (cache.size > CACHED_GRIDS) forgetOldest();
    }
    return cache.get(key);
  }

  const isLarge = (run) => run.steps * (run.layers?.length ?? 0) > LARGE;

  /** Returns some steps of a grid; asked for once at a time. */
  function preview(run, statistic, rows) {
    const key = keyOf(run, statistic, rows);
    if (!previews.has(key)) {
      const reply = fetchGrid(get, run, statistic, rows, {preview: true});
      previews.set(key, reply);
      const forget = () => previews.delete(key);
      reply.then(forget, forget);
    }
    return previews.get(key);
  }

  function forgetOldest() {
    const oldest = cache.keys().next().value;
    cache.delete(oldest);
    const [name, statistic, rows] = JSON.parse(oldest);
    const cachedKeys = [...cache.keys()].map((key) => JSON.parse(key));
    if (!cachedKeys.some((key) => key[0] === name && key[1] === statistic)) {
      matrices.get(name)?.delete(JSON.stringify([statistic, rows, '']));
    }
  }

  return {
    get,

    /** Returns the losses, rates and epochs of a run. */
    curves: createCurves(get).of,

    /** Returns the list of runs, null if asked again in the meantime. */
    async runs() {
      const mine = ++reloads;
      const query = listing.mark ? `&known=${listing.mark}` : '';
      const early = first;
      first = null;
      const response = await (early ? checked(await early)
        : get(`${RUNS}${query}`));
      const reply = await response.json();
      if (mine !== reloads) return null;
      nameDirectory(decodeURIComponent(
        response.headers?.get('X-Gradscope-Directory') ?? ''));
      if (reply) {
        listing = {runs: wholeRuns(reply),
          mark: response.headers?.get('X-Gradscope-Mark') ?? ''};
      }
      return listing.runs;
    },

    /**
     * Calls `show(run, grid)`, or `show(run, null, error)`, for each run,
     * unless asked for something else of it in the meantime. Of a large run
     * some steps are shown first, unless `has(run)`.
     */
    async grids(runs, statistic, rows, show, has = (_run) => true) {
      const mine = ++shows;
      const keys = new Map(runs.map((run) =>
        [run.name, keyOf(run, statistic, rows)]));
      keys.forEach((key, name) => newestKeys.set(name, key));
      // What another call asks for as well is shown by whichever is first.
      const tell = (run) => {
        const isWanted = () => newestKeys.get(run.name) === keys.get(run.name);
        return [(reply) => isWanted() && show(run, reply),
          (error) => isWanted() && show(run, null, error.message)];
      };
      const toPreview = runs.filter((run) => isLarge(run) && !has(run)
        && !cache.has(keys.get(run.name)));
      if (toPreview.length) {
        await Promise.all(toPreview.map((run) =>
          preview(run, statistic, rows).then(tell(run)[0], () => {})));
      }
      // One large one after the other: the server has them faster so, and the
      // first picture does not wait for the last.
      for (const run of runs) {
        if (mine !== shows) return;
        const reply = cached(run, statistic, rows).then(...tell(run));
        if (isLarge(run)) await reply;
      }
      await Promise.all(runs.map((run) =>
        cached(run, statistic, rows).then(() => {}, () => {})));
    },

    /** Asks for what `grids` will ask for first, while the page is drawn. */
    prefetch(run, statistic, rows) {
      const ask = isLarge(run) ? preview : cached;
      ask(run, statistic, rows).catch(() => {});
    },

    /** Returns some columns of a run's gradient norms, for a small heatmap. */
    thumbnail(run, now = Date.now()) {
      const last = thumbnails.get(run.name);
      const version = `${run.steps} ${run.last_wall_time}`;
      if (last && (last.version === version || now - last.time < THUMBNAIL)) {
        return last.reply;
      }
      const reply = fetchGrid(get, run, 'gradient_norm', 'layers',
        {preview: true});
      thumbnails.set(run.name, {version, time: now, reply});
      reply.catch(() => thumbnails.delete(run.name));
      return reply;
    },
  };
}

/** Returns runs with what they share with the one before that they are like. */
export function wholeRuns(runs) {
  const byName = new Map(runs.map((run) => [run.name, run]));
  return runs.map((run) => (run.like
    ? {...byName.get(run.like), pending: false, ...run} : run));
}

// Who answers: the server, or a report the page is in.
let source = (url) => fetch(url);

/**
 * Lets another source than the server answer all requests.
 * @param {(url: string) => Promise<Response>} answers
 */
export function answerFrom(answers) {
  source = answers;
}

/** Fetches a relative URL, again while the server says that the answer is not
 * yet made; an error is the text that it gives. */
export async function fetchOk(url) {
  for (;;) {
    const response = await checked(await source(url));
    if (response.status !== NOT_YET) return response;
    await new Promise((resolve) => setTimeout(resolve, AGAIN));
  }
}

async function checked(response) {
  if (!response.ok) throw new Error(await response.text());
  return response;
}
