/** Answers the page's requests from a report, in a server's place. */

import {keyOf} from './archive.js';
import {derived} from './derived.js';
import {parseMatrix} from '../data/matrices.js';
import {wholeRuns} from '../data/requests.js';

// A report does not grow, and has each reply in one part.
const OF_SERVERS = ['soon', 'known', 'after', 'mark', 'preview'];

const LACKING = 'This report lacks it, as it would be too large with it. Make '
  + 'a larger one: gradscope report --max-mb.';

/**
 * Returns a function that fetches a relative URL of the page.
 * @param {{about: {runs: string[]},
 *     read: (key: string) => Promise<?ArrayBuffer>}} archive
 * @return {(url: string) => Promise<Response>}
 */
export function createSource({about, read}) {
  let runs = null;

  async function runOf(name) {
    runs ??= read(keyOf('runs', {})).then((reply) =>
      wholeRuns(JSON.parse(new TextDecoder().decode(reply))));
    return (await runs).find((run) => run.name === name);
  }

  async function matrixOf(query) {
    const reply = await read(keyOf('matrix', query));
    return reply && parseMatrix(reply);
  }

  return async (url) => {
    const [path, search = ''] = url.split('?');
    // TensorBoard's own list, whose order gives the runs their colours.
    if (path === '../../runs') return Response.json(about.runs);
    const query = Object.fromEntries([...new URLSearchParams(search)]
      .filter(([name]) => !OF_SERVERS.includes(name)));
    const reply = await read(keyOf(path, query));
    if (reply) return new Response(reply);
    const matrix = await derived(path, query, await runOf(query.run), matrixOf);
    return matrix ? new Response(formatMatrix(matrix))
      : new Response(LACKING, {status: 404});
  };
}

/** Returns a matrix as the server sends it, see `http_api.md`. */
export function formatMatrix({rows, columns, written, steps, values}) {
  const reply = new ArrayBuffer(24 + 8 * columns + 4 * rows * columns);
  new Uint32Array(reply, 0, 6).set([rows, columns, 0, columns, 0, written]);
  new Float64Array(reply, 24, columns).set(steps);
  new Float32Array(reply, 24 + 8 * columns).set(values);
  return reply;
}
