import assert from 'node:assert/strict';
import test from 'node:test';

import {FirstRanks, chosenRuns, toDiagnose}
  from '../../gradscope_plugin/static/page/run_choice.js';
import {Feed} from '../../gradscope_plugin/static/data/run_list.js';
import {layerOf} from '../../gradscope_plugin/static/data/row_names.js';
import {DEFAULTS, folded, pinned}
  from '../../gradscope_plugin/static/page/view_state.js';
import {statusLines} from '../../gradscope_plugin/static/page/status_lines.js';

const run = (name, steps = 10) => ({name, steps, variables: Array(100)});
const RUNS = ['a', 'b', 'c'].map((name) => run(name));
const RANK = {a: 3, b: 0, c: 1};
const rank = ({name}) => RANK[name];
const names = (runs) => runs.map(({name}) => name);

test('the worst run comes first, in the list and below', () => {
  const {listed, shown} = chosenRuns(RUNS, DEFAULTS, rank);
  assert.deepEqual(names(listed), ['b', 'c', 'a']);
  assert.deepEqual(names(shown), ['b', 'c', 'a']);
});

test('a run that was opened is shown alone, a pair that is compared too', () => {
  const of = (view) =>
    names(chosenRuns(RUNS, {...DEFAULTS, ...view}, rank).shown);
  assert.deepEqual(of({solo: 'a'}), ['a']);
  assert.deepEqual(of({solo: 'gone'}), ['b', 'c', 'a']);
  assert.deepEqual(of({pins: ['c', 'a'], comparing: true}), ['c', 'a']);
  assert.deepEqual(of({pins: ['c', 'gone'], comparing: true}),
    ['b', 'c', 'a']);
});

test('each run is diagnosed, large ones last and again only when seen', () => {
  const large = run('large', 1e6);
  const broken = {name: 'x', error: 'why'};
  const all = [large, ...RUNS, broken];
  const of = (isSeen, isDiagnosed = false) => names(
    toDiagnose(all, [RUNS[2]], () => isSeen, () => isDiagnosed));
  assert.deepEqual(of(false), ['c', 'a', 'b', 'large']);
  assert.deepEqual(of(true), ['c', 'large', 'a', 'b']);
  assert.deepEqual(of(false, true), ['c', 'a', 'b']);
});

test('the worst six runs are shown, until somebody uses the page', () => {
  const many = Array.from({length: 9}, (_, i) => run(`r${i}`));
  const first = new FirstRanks();
  let ranks = {};
  const rankNow = ({name}) => ranks[name] ?? 3;
  const shown = () => names(chosenRuns(many, DEFAULTS, rankNow, first.of(many,
    rankNow, ({name}) => name in ranks)).shown);
  assert.deepEqual(shown(), ['r0', 'r1', 'r2', 'r3', 'r4', 'r5']);
  ranks = {r8: 0};
  assert.deepEqual(shown(), ['r8', 'r0', 'r1', 'r2', 'r3', 'r4']);
  first.settle();
  ranks = {r8: 0, r7: 0};
  assert.deepEqual(shown(), ['r8', 'r0', 'r1', 'r2', 'r3', 'r4']);
});

test('ranks are settled once every run is diagnosed', () => {
  const first = new FirstRanks();
  const [a] = RUNS;
  assert.equal(first.of([a], () => 3, () => false)(a), 3);
  assert.equal(first.of([a], () => 1, () => true)(a), 1);
  assert.equal(first.of([a], () => 0, () => true)(a), 1);
  const later = run('later');
  assert.equal(first.of([a, later], () => 2, () => true)(later), 2);
});

test('two runs are pinned: the last two that were clicked', () => {
  assert.deepEqual(pinned([], 'a'), ['a']);
  assert.deepEqual(pinned(['a', 'b'], 'c'), ['b', 'c']);
  assert.deepEqual(pinned(['a', 'b'], 'a'), ['b']);
});

test('blocks are opened one by one or all', () => {
  assert.deepEqual(folded([], 'x', ['x', 'y']), ['x']);
  assert.deepEqual(folded(['x'], 'x', ['x', 'y']), []);
  assert.deepEqual(folded([], null, ['x', 'y', 'x']), ['x', 'y']);
  assert.deepEqual(folded(['x'], null, ['x', 'y']), []);
});

test('a row is of a layer, whatever it is a row of', () => {
  const one = {layers: ['d'], variables: [{name: 'd/kernel', layer: 'd'}],
    states: [{name: 'bn_1', layer: 'bn'}], activations: [{name: 'd/relu'}]};
  const of = (row) => layerOf(one, row);
  assert.equal(of({name: 'd'}), 'd');
  assert.equal(of({name: 'd/kernel'}), 'd');
  assert.equal(of({name: 'bn_1'}), 'bn');
  assert.equal(of({name: 'd/relu'}), 'd');
  assert.equal(of({name: 'd/relu/3', group: 'd/relu'}), 'd');
  assert.equal(of({name: 'input'}), null);
});

test('the status says how old, how much, and whether it is live', () => {
  const now = Date.now();
  const live = {steps: 20, recorded: 400, dropped: 0, skipped: 0,
    last_wall_time: now / 1000 - 2};
  const lines = statusLines([live], 1, now - 3000, '');
  assert.deepEqual(lines, ['20 of 400 recorded steps shown',
    'TensorBoard sampled the others away: '
      + 'tensorboard --samples_per_plugin=gradscope=0 keeps all',
    'updated 3 s ago', 'live: last step 2 s ago']);
  const old = {...live, last_wall_time: 0, recorded: 20};
  assert.deepEqual(statusLines([old], 1, now, ''),
    ['20 of 20 recorded steps shown', 'updated 0 s ago']);
  assert.equal(statusLines([live], 1, now, 'gone').at(-1),
    'TensorBoard does not answer; trying again');
});

test('the status never speaks of all runs where it means those shown', () => {
  const old = {steps: 20, recorded: 20, dropped: 0, skipped: 0,
    last_wall_time: 0};
  assert.deepEqual(statusLines([old, old], 22, Date.now(), '').slice(0, 2),
    ['2 of 22 runs shown', '40 of their 40 recorded steps']);
});

test('while the server is away, what was read stays', async () => {
  let reply = async () => ['first'];
  const feed = new Feed({runs: () => reply(), get: async () => {
    throw new Error('no such route');
  }});
  reply = async () => /** @type {any} */ ([{name: 'a'}]);
  assert.equal(await feed.reload(), true);
  const {runs} = feed;
  reply = async () => {
    throw new Error('refused');
  };
  assert.equal(await feed.reload(), true);
  assert.equal(feed.failure, 'refused');
  assert.equal(feed.runs, runs);
  reply = async () => /** @type {any} */ (runs);
  assert.equal(await feed.reload(), true, 'it is back');
  assert.equal(await feed.reload(), false, 'nothing new');
  assert.equal(feed.failure, '');
});
