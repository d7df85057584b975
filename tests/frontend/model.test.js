import assert from 'node:assert/strict';
import test from 'node:test';

import {ABSENT, NAN, NUMBER} from '../../gradscope_plugin/static/data/cell_kinds.js';
import {createModel} from '../../gradscope_plugin/static/data/requests.js';
import {rowsOf} from '../../gradscope_plugin/static/data/row_names.js';
import {valueAt} from '../../gradscope_plugin/static/heatmap/readout.js';
import {encode} from './server.js';
import './statistics.js';

const RUN = {
  name: 'a/gradscope',
  layers: ['dense'],
  variables: [
    {name: 'dense/kernel', layer: 'dense', shape: [3, 4]},
    {name: 'dense/bias', layer: 'dense', shape: [4]},
  ],
  statistics: ['gradient_norm', 'gradient_missing', 'weight_norm'],
  steps: 2,
  last_wall_time: 1,
};

test('rows are named as the server orders them', () => {
  assert.deepEqual(rowsOf(RUN, 'layers'),
    [{name: 'dense', shapes: 'kernel [3, 4], bias [4]', size: 16,
      kind: 'kernel'}]);
  assert.deepEqual(rowsOf(RUN, 'kernels'),
    [{name: 'dense/kernel', shapes: '[3, 4]', size: 12, kind: 'kernel'}]);
  assert.deepEqual(rowsOf(RUN, 'variables').map((row) => row.name),
    ['dense/kernel', 'dense/bias']);
});

/** A server that answers with matrices by statistic, and counts requests. */
function server(matrices) {
  const urls = [];
  const get = async (url) => {
    urls.push(url);
    const statistic = new URLSearchParams(url.split('?')[1]).get('statistic');
    const reply = matrices[statistic];
    if (reply instanceof Error) throw reply;
    return {arrayBuffer: async () => reply, json: async () => matrices.runs};
  };
  return {get, urls};
}

test('grids know why a number is missing, and ask only if one is', async () => {
  const {get, urls} = server({
    gradient_norm: encode([0, 1, 2], [[1, NaN, NaN]]),
    gradient_missing: encode([0, 1, 2], [[0, 0, NaN]]),
    weight_norm: encode([0, 1, 2], [[1, 1, 1]]),
  });
  const model = createModel(get);
  const grids = [];
  const show = (run, grid) => grids.push(grid);
  await model.grids([RUN], 'gradient_norm', 'layers', show);
  await model.grids([RUN], 'weight_norm', 'layers', show);
  assert.deepEqual([...grids[0].kinds], [NUMBER, NAN, ABSENT]);
  assert.equal(urls.length, 3);
  assert.ok(urls.every((url) => url.startsWith('matrix?run=a%2Fgradscope&')));
  await model.grids([RUN], 'gradient_norm', 'layers', show);
  assert.equal(urls.length, 3, 'unchanged: from the cache');
  const grown = {...RUN, steps: 3};
  await model.grids([grown], 'gradient_norm', 'layers', show);
  assert.equal(urls.length, 5);
});

test('activations have rows of their own', async () => {
  const run = {...RUN, activations: [{name: 'a/relu', kind: 'relu', units: 3}],
    activation_statistics: ['dead_fraction']};
  assert.deepEqual(rowsOf(run, 'activations'),
    [{name: 'a/relu', shapes: 'relu, 3 units', size: 3, kind: 'relu'}]);
  const asked = [];
  const model = createModel(async (url) => {
    asked.push(url);
    return {arrayBuffer: async () => encode([0, 1], [[NaN, 0.5]])};
  });
  const grids = {};
  await model.grids([run, {...RUN, name: 'without', activations: [],
    unseen: ['why']}],
    'dead_fraction', 'layers', ({name}, grid) => { grids[name] = grid; });
  assert.equal(asked.length, 1);
  assert.match(asked[0], /rows=activations/);
  assert.equal(grids.without.rows, 0);
  assert.deepEqual(grids.without.unseen, ['why']);
  // Too few examples so far: that is no NaN among the numbers.
  assert.deepEqual([...grids[run.name].kinds], [ABSENT, NUMBER]);
});

test('what is asked for in advance is not asked for again', async () => {
  for (const steps of [RUN.steps, 200_000]) {
    const {get, urls} = server({
      gradient_norm: encode([0, 1, 2], [[1, 1, 1]]),
      weight_norm: encode([0, 1, 2], [[1, 1, 1]]),
    });
    const run = {...RUN, steps};
    const model = createModel(get);
    model.prefetch(run, 'gradient_norm', 'layers');
    const isShown = model.grids([run], 'gradient_norm', 'layers', () => {},
      () => false);
    assert.equal(urls.length, 1);
    assert.equal(urls[0].includes('preview'), steps > RUN.steps);
    await isShown;
    assert.equal(urls.filter((url) => url === urls[0]).length, 1);
  }
});

test('replies to an outdated request are dropped', async () => {
  const waiting = [];
  const get = () => new Promise((resolve) => waiting.push(resolve));
  const model = createModel(get);
  const shown = [];
  const ask = (statistic) => model.grids([RUN], statistic, 'layers',
    (run, grid) => shown.push(grid.values[0]));
  const reply = (value) => ({arrayBuffer: async () => encode([0], [[value]])});
  const both = [ask('gradient_norm'), ask('weight_norm')];
  waiting[1](reply(2));
  waiting[0](reply(1));
  await Promise.all(both);
  assert.deepEqual(shown, [2]);
});

test('an outdated list of runs is dropped', async () => {
  const waiting = [];
  const model = createModel(() => new Promise((r) => waiting.push(r)));
  const [first, second] = [model.runs(), model.runs()];
  waiting[1]({json: async () => ['new']});
  waiting[0]({json: async () => ['old']});
  assert.equal(await first, null);
  assert.deepEqual(await second, ['new']);
});

test('an error is shown for its run, and not kept', async () => {
  const {get, urls} = server({gradient_norm: new Error('no such run')});
  const model = createModel(get);
  const errors = [];
  const show = (run, grid, error) => errors.push(error);
  await model.grids([RUN], 'gradient_norm', 'layers', show);
  await model.grids([RUN], 'gradient_norm', 'layers', show);
  assert.deepEqual(errors, ['no such run', 'no such run']);
  assert.equal(urls.length, 2);
});

test('rows that do not fit the names are refused', async () => {
  const {get} = server({gradient_norm: encode([0], [[1], [2]])});
  let told;
  await createModel(get).grids([RUN], 'gradient_norm', 'layers',
    (run, grid, error) => {
      told = error;
    });
  assert.match(told, /changed while the page read it/);
});

test('the readout names the value, its kind, and another step', () => {
  const grid = {named: [{name: 'a'}, {name: 'b'}], columns: 2, steps: [0, 10],
    values: Float32Array.of(0.1, 1, 2, NaN),
    kinds: [NUMBER, NUMBER, NUMBER, NAN]};
  assert.equal(valueAt(grid, {name: 'a', step: 0}), '0.1');
  assert.equal(valueAt(grid, {name: 'a', step: 7}), '0.1 (step 0)');
  assert.equal(valueAt(grid, {name: 'b', step: 10}), 'NaN');
  assert.equal(valueAt(grid, {name: 'c', step: 0}), '');
  assert.equal(valueAt(undefined, {name: 'a', step: 0}), '');
  assert.equal(valueAt(grid, null), '');
});
