import assert from 'node:assert/strict';
import test from 'node:test';

import {duration, exact, nameDirectory, percent, runLabel, shorten, tidy}
  from '../../gradscope_plugin/static/basics/format.js';
import {captionOf, messageOf} from '../../gradscope_plugin/static/heatmap/notices.js';
import {chooseRuns, chooseStatistic, createState, statisticIn}
  from '../../gradscope_plugin/static/page/view_state.js';
import {describe, groupOf, grouped, linesOf, statisticsOf}
  from '../../gradscope_plugin/static/statistics/statistics.js';
import {STATISTICS} from './statistics.js';

test('a float32 is written exactly and as short as possible', () => {
  for (const [value, text] of [
    [0.1, '0.1'], [1.2e-7, '1.2e-7'], [0.25, '0.25'], [0, '0'], [3e38, '3e38'],
    [1 / 3, '0.33333334'], [NaN, 'NaN'], [Infinity, 'Infinity'],
  ]) {
    assert.equal(exact(Math.fround(value)), text);
  }
  for (let i = 0; i < 1000; i++) {
    const value = Math.fround(Math.random() * 10 ** (i % 60 - 30));
    assert.equal(Math.fround(Number(exact(value))), value);
  }
});

test('numbers of a scale are short', () => {
  assert.deepEqual([1e-8, 1e-3, 0.25, 10, 1e7, 0].map(tidy),
    ['1e-8', '0.001', '0.25', '10', '1e7', '0']);
});

test('long names keep both of their ends, and emoji stay whole', () => {
  assert.equal(shorten('dense_1'), 'dense_1');
  assert.equal(shorten('block_12/residual/dense', 11), 'block…dense');
  assert.equal(shorten('🔥'.repeat(30), 3), '🔥…🔥');
});

test('durations take one unit', () => {
  assert.deepEqual([-3, 5.9, 60, 7200, 200000].map(duration),
    ['0 s', '5 s', '1 min', '2 h', '2 d']);
});

test('a share is never rounded to nothing or to all', () => {
  assert.deepEqual([0.0001, 0.37, 0.9999, 1].map(percent),
    ['<1 %', '37 %', '>99 %', '100 %']);
});

test('a run is called as the user called it', () => {
  assert.equal(runLabel('mlp/he/gradscope'), 'mlp/he');
  assert.equal(runLabel('gradscope'), '.');
  assert.equal(runLabel('gradscope/gradscope'), 'gradscope');
  assert.equal(runLabel('mlp/gradscope@1a2b3c4d+5e6f7a8b'),
    'mlp (earlier training 1a2b)');
  assert.equal(runLabel('me@home/gradscope'), 'me@home');
});

test('the run that is the log directory is called by its name', () => {
  nameDirectory('mlp');
  assert.deepEqual(['gradscope', '.'].map(runLabel), ['mlp', 'mlp']);
  nameDirectory('');
  assert.deepEqual(['gradscope', '.'].map(runLabel), ['.', '.']);
});

const RUNS = Array.from({length: 9}, (_, i) => ({name: `run${i}/gradscope`}));

test('the first six runs are shown, then what the user ticks', () => {
  const none = {filter: '', checked: {}};
  assert.equal(chooseRuns(RUNS, none, runLabel).shown.length, 6);
  const checked = {'run0/gradscope': false, 'run8/gradscope': true};
  const {shown} = chooseRuns(RUNS, {filter: '', checked}, runLabel);
  assert.deepEqual(shown.map((run) => runLabel(run.name)),
    ['run1', 'run2', 'run3', 'run4', 'run5', 'run8']);
});

test('an earlier training is shown when it is ticked', () => {
  const name = 'run0/gradscope@1a2b3c4d';
  const runs = [RUNS[0], {name, earlier_in: RUNS[0].name}];
  const shown = (checked) => chooseRuns(runs, {filter: '', checked}, runLabel)
    .shown.map((run) => run.name);
  assert.deepEqual(shown({}), [RUNS[0].name]);
  assert.deepEqual(shown({[name]: true}), [RUNS[0].name, name]);
});

test('the filter is a regular expression, and says so when it is none', () => {
  const filtered = chooseRuns(RUNS, {filter: 'RUN[78]', checked: {}}, runLabel);
  assert.equal(filtered.listed.length, 2);
  // Of many runs those that were looked for are seen.
  assert.equal(filtered.shown.length, 2);
  assert.equal(filtered.error, '');
  const wrong = chooseRuns(RUNS, {filter: '[', checked: {}}, runLabel);
  assert.match(wrong.error, /^Not a regular expression: /);
  assert.equal(wrong.listed.length, 9);
});

test('choices are stored, and damaged storage is ignored', () => {
  const kept = {};
  const storage = {getItem: (key) => kept[key] ?? null,
    setItem: (key, value) => {
      kept[key] = value;
    }};
  let changes = 0;
  createState(() => (changes += 1), storage).set({rows: 'kernels'});
  assert.equal(changes, 1);
  assert.ok(Object.keys(kept).every((key) => key.startsWith('gradscope.')));
  assert.equal(createState(() => {}, storage).view.rows, 'kernels');
  for (const text of ['{', 'null', '7', '{"rows": "units"}']) {
    const damaged = {...storage, getItem: () => text};
    assert.equal(createState(() => {}, damaged).view.rows, 'layers');
  }
  assert.equal(createState(() => {}, null).view.rows, 'layers');
});

const NAMES = STATISTICS.map(({name}) => name);

test('statistics are grouped in the order of their declarations', () => {
  assert.deepEqual(
    grouped(['new_one', 'weight_norm', 'gradient_missing', 'gradient_norm',
      'gradient_max', 'gradient_norm', 'unit_dead', 'new_one']),
    [{name: 'Gradients', statistics: ['gradient_norm', 'gradient_max']},
      {name: 'Weights and updates', statistics: ['weight_norm']},
      {name: 'Others', statistics: ['new_one']}]);
  for (const {name, group} of STATISTICS) {
    assert.equal(grouped([name])[0]?.name, group);
    if (group) assert.equal(groupOf(name), group);
  }
  assert.equal(groupOf('new_one'), 'Others');
  assert.equal(describe('new_one').label, 'new one');
  assert.equal(captionOf(describe('gradient_norm'), 'kernels'),
    'gradient norm of each kernel, input at the top');
});

// Eight take 914 pixels, of 1012 in a window of 1280.
test('no group has more buttons than fit on a line', () => {
  for (const {name, statistics} of grouped(NAMES)) {
    assert.ok(statistics.length <= 8, name);
  }
});

test('a chart has the lines that are declared for it, by their colours', () => {
  assert.deepEqual(linesOf('norms').map(({name}) => name), ['gradient_norm',
    'weight_norm', 'update_norm', 'clipped_gradient_norm']);
  const [first, second] = linesOf('ratios');
  assert.equal(first.line.band.text, 'usual about 1e-3');
  assert.equal(second.line.band, null);
  assert.deepEqual(linesOf('no such chart'), []);
});

test('a run has the statistics of all its rows, and of its layers', () => {
  const columns = ['dropout_rate', 'mean_distance', 'state_movement'];
  const run = (...kinds) => ({statistics: ['gradient_norm'],
    unit_statistics: ['unit_dead'], state_statistics: columns,
    states: kinds.map((kind) => ({kind}))});
  assert.deepEqual(statisticsOf(run('dropout')),
    ['gradient_norm', 'unit_dead', 'dropout_rate']);
  assert.deepEqual(statisticsOf(run('batch_norm')).slice(2), columns.slice(1));
  assert.deepEqual(statisticsOf({error: 'newer'}), []);
});

test('a group shows the statistic chosen last, or its first', () => {
  const group = {name: 'Gradients',
    statistics: ['gradient_norm', 'gradient_max']};
  const view = {latest: {}};
  assert.equal(statisticIn(view, group), 'gradient_norm');
  Object.assign(view, chooseStatistic(view, 'gradient_max'));
  Object.assign(view, chooseStatistic(view, 'unit_activity'));
  assert.equal(view.statistic, 'unit_activity');
  assert.equal(statisticIn(view, group), 'gradient_max');
  const without = {...group, statistics: ['gradient_norm']};
  assert.equal(statisticIn(view, without), 'gradient_norm');
  // An earlier version stored none.
  assert.equal(statisticIn({}, group), 'gradient_norm');
});

test('a grid without numbers says so', () => {
  assert.equal(messageOf(undefined, 'layers'), '');
  assert.equal(messageOf({rows: 1, kinds: Uint8Array.of(0, 2)}, 'layers'), '');
  assert.match(messageOf({rows: 1, kinds: Uint8Array.of(2, 5)}, 'layers'),
    /^No number to show/);
  assert.match(messageOf({rows: 0}, 'kernels'), /two dimensions/);
  assert.equal(messageOf({rows: 0, isLacking: true}, 'layers'),
    'This statistic was not recorded in this run.');
  assert.equal(messageOf({rows: 0, unseen: ['eager steps have no graph']},
    'layers', describe('dead_fraction')),
  'No activation of this run was observed: eager steps have no graph.');
  const own = (statistic) =>
    messageOf({rows: 0, unseen: []}, 'layers', describe(statistic));
  assert.match(own('unit_activity'), /has no map of its units/);
  assert.match(own('data_rms'), /inputs, targets and .* not observed/);
  assert.match(own('dropped_fraction'), /no dropout/);
  assert.match(own('mean_distance'), /no batch normalization/);
  const clipped = describe('clipped_gradient_norm');
  assert.match(messageOf({rows: 1, kinds: Uint8Array.of(5)}, 'layers', clipped),
    /does not clip/);
});
