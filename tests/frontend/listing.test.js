import assert from 'node:assert/strict';
import test from 'node:test';

import {sampledText}
  from '../../gradscope_plugin/static/layer/histogram_chart.js';
import {Feed} from '../../gradscope_plugin/static/data/run_list.js';
import {createModel, fetchOk, wholeRuns}
  from '../../gradscope_plugin/static/data/requests.js';
import {encode} from './server.js';

const NETWORK = {variables: [{name: 'a', layer: 'a', shape: [1]}],
  layers: ['a'], statistics: ['gradient_norm']};

test('a run is like the one that it names', () => {
  const runs = wholeRuns([{name: 'a', steps: 1, pending: true, ...NETWORK},
    {name: 'b', steps: 2, like: 'a'}, {name: 'c', error: 'damaged'}]);
  assert.equal(runs[1].variables, NETWORK.variables);
  assert.deepEqual([runs[1].name, runs[1].steps, runs[1].pending],
    ['b', 2, false]);
  assert.deepEqual(runs[2], {name: 'c', error: 'damaged'});
});

test('what is not yet made is asked for again', async () => {
  const real = globalThis.fetch;
  const replies = [202, 202, 200];
  const asked = [];
  globalThis.fetch = /** @type {any} */ (async (url) => {
    asked.push(url);
    return {ok: true, status: replies.shift()};
  });
  try {
    assert.equal((await fetchOk('findings?run=a')).status, 200);
  } finally {
    globalThis.fetch = real;
  }
  assert.deepEqual(asked, Array(3).fill('findings?run=a'));
});

/** Returns a feed of lists of runs, told one after the other. */
function feedOf(...lists) {
  return new Feed({runs: async () => lists.shift(), get: async () => {
    throw new Error('no such route');
  }});
}

test('a run that is but a name is not shown, and colours stay', async () => {
  const known = {name: 'a', pending: true, ...NETWORK};
  const all = [known, {...known, name: 'b'}];
  const feed = feedOf([known, {name: 'b', pending: true}], all);
  assert.equal(await feed.reload(), true);
  assert.deepEqual(feed.runs.map(({name}) => name), ['a']);
  assert.ok(feed.isPartial);
  const color = feed.colorOf('b', 'light');
  await feed.reload();
  assert.deepEqual(feed.runs.map(({name}) => name), ['a', 'b']);
  assert.equal(feed.colorOf('b', 'light'), color);
});

test('a run that is opened is waited for', async () => {
  const known = {name: 'a', ...NETWORK};
  const feed = feedOf([known, {name: 'b', pending: true}],
    [known, {...known, name: 'b'}]);
  assert.equal(await feed.reload(['b']), false);
  assert.equal(feed.runs, null);
  assert.equal(await feed.reload(['b']), true);
  assert.equal(feed.runs.length, 2);
  assert.ok(!feed.isPartial);
});

test('a preview is asked for once, and shown though the list grew', async () => {
  const run = {name: 'a', steps: 200_000, last_wall_time: 1, ...NETWORK};
  const asked = [];
  const waiting = [];
  const model = createModel((url) => {
    asked.push(url);
    return new Promise((resolve) => waiting.push(resolve));
  });
  const shown = [];
  const show = (_, grid) => shown.push(grid.values[0]);
  const ask = () => model.grids([run], 'gradient_norm', 'layers', show,
    () => false);
  const both = [ask(), ask()];
  assert.equal(asked.length, 1);
  assert.match(asked[0], /preview=1/);
  const reply = (value) => /** @type {any} */ (
    {arrayBuffer: async () => encode([0], [[value]])});
  waiting[0](reply(1));
  while (waiting.length < 2) await new Promise((r) => setTimeout(r, 1));
  assert.ok(shown.includes(1));
  waiting[1](reply(2));
  await Promise.all(both);
  assert.equal(shown.at(-1), 2);
  assert.equal(asked.length, 2);
});

test('histograms that were sampled away are told, with the remedy', () => {
  assert.equal(sampledText({columns: 100, written: 100}), '');
  assert.equal(sampledText({columns: 100, written: 0}), '');
  assert.match(sampledText({columns: 100, written: 120}), new RegExp(
    '^100 of 120 recorded .*--samples_per_plugin=histograms=1000 '));
  assert.match(sampledText({columns: 500, written: 1000}), /of at least 1000/);
});
