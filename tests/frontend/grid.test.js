import assert from 'node:assert/strict';
import test from 'node:test';

import {ABSENT, DEAD, NAN, NUMBER, ZERO}
  from '../../gradscope_plugin/static/data/cell_kinds.js';
import {fetchGrid} from '../../gradscope_plugin/static/data/grid.js';
import {messageOf} from '../../gradscope_plugin/static/heatmap/notices.js';
import {silenceAt, valueAt} from '../../gradscope_plugin/static/heatmap/readout.js';
import {rowsOf} from '../../gradscope_plugin/static/data/row_names.js';
import {describe} from '../../gradscope_plugin/static/statistics/statistics.js';
import {deadIn, deadText} from '../../gradscope_plugin/static/data/dead_units.js';
import {encode} from './server.js';
import './statistics.js';

const RUN = {
  name: 'a/gradscope',
  statistics: ['gradient_norm', 'gradient_missing'],
  activations: [
    {name: 'a/relu', kind: 'relu', units: 2, units_per_row: 1},
    {name: 'b/softmax', kind: 'softmax', units: 9, units_per_row: 0},
    {name: 'b/relu', kind: 'relu', units: 5, units_per_row: 2},
    {name: 'c/elu', kind: 'leaky_relu', units: 1, units_per_row: 1},
  ],
  states: [
    {name: 'bn', kind: 'batch_norm'}, {name: 'dropout', kind: 'dropout'},
  ],
  data: ['input/tokens', 'target'],
  unit_statistics: ['unit_activity', 'unit_dead'],
  state_statistics: ['dropout_rate', 'mean_distance'],
  data_statistics: ['data_mean'],
};

/** Answers with matrices by statistic; notes what it was asked. */
function server(steps, matrices) {
  const asked = [];
  return {asked, get: async (url) => {
    const query = new URLSearchParams(url.split('?')[1]);
    asked.push(`${query.get('statistic')} of ${query.get('rows')}`);
    return {arrayBuffer: async () =>
      encode(steps, matrices[query.get('statistic')])};
  }};
}

const UNITS = {
  // Rows: units 0 and 1 of a; 0-1, 2-3 and 4 of b; unit 0 of c.
  unit_activity: [[0.5, 0.5], [0.25, 0], [0.1, 0], [0.1, 0.1], [0, 0], [0, 0]],
  unit_dead: [[0, 0], [0, 1], [0, 1], [0, 0.5], [NaN, 1], [NaN, NaN]],
  unit_idle_examples: [[0, 0], [0, 9], [1, 20], [0, 8], [8, 16], [8, 16]],
  unit_last_fired: [[7, 15], [7, 7], [6, 6], [7, 8], [NaN, NaN], [NaN, NaN]],
};

test('units are named after their activation, one by one or in groups', () => {
  const rows = rowsOf(RUN, 'units');
  assert.deepEqual(rows.map(({name}) => name), ['a/relu/0', 'a/relu/1',
    'b/relu/0-1', 'b/relu/2-3', 'b/relu/4', 'c/elu/0']);
  assert.deepEqual(rows.map(({size}) => size), [1, 1, 2, 2, 1, 1]);
});

test('a dead unit is another thing than one that is hardly on', async () => {
  const {get} = server([7, 15], UNITS);
  const grid = await fetchGrid(get, RUN, 'unit_activity', 'layers');
  const rows = [0, 1, 2, 3, 4, 5].map((row) =>
    [...grid.kinds.subarray(2 * row, 2 * row + 2)]);
  assert.deepEqual(rows, [[NUMBER, NUMBER], [NUMBER, DEAD], [NUMBER, DEAD],
    [NUMBER, NUMBER], [NUMBER, DEAD], [NUMBER, NUMBER]]);
});

test('dead units are counted, one by one', async () => {
  const {get} = server([7, 15], UNITS);
  const grid = await fetchGrid(get, RUN, 'unit_activity', 'layers');
  const told = grid.groups.map((group) =>
    [group.name, group.from, group.to, deadText(group)]);
  assert.deepEqual(told, [['a/relu', 0, 2, '1 of 2 dead'],
    ['b/relu', 2, 5, '4 of 5 dead'], ['c/elu', 5, 6, 'cannot die']]);
  assert.deepEqual(deadIn(grid),
    {text: '5 of 7 dead at step 15', alarming: true});
  assert.equal(deadIn({}), null);
  assert.equal(deadText({units: 3, dead: 0, canDie: true}), 'none dead');
  assert.equal(deadText({units: 3, dead: NaN, canDie: true}), '');
});

test('since when a unit is silent is learnt when somebody asks', async () => {
  const {get, asked} = server([7, 15], UNITS);
  const grid = await fetchGrid(get, RUN, 'unit_activity', 'layers');
  assert.deepEqual(asked, ['unit_activity of units', 'unit_dead of units']);
  const at = (name, step) => silenceAt(grid, {name, step});
  assert.equal(at('a/relu/1', 15), '');
  await Promise.all([grid.learn(), grid.learn()]);
  assert.equal(asked.length, 4);
  assert.equal(at('a/relu/0', 15), 'above zero in step 15');
  assert.equal(at('a/relu/1', 15), 'last above zero in step 7, 9 examples ago');
  assert.equal(at('b/relu/0-1', 7), 'the most silent of its 2 units was last '
    + 'above zero in step 6, 1 example ago');
  assert.equal(at('b/relu/4', 15), 'never above zero in 16 examples');
  assert.equal(valueAt(grid, {name: 'a/relu/1', step: 15}), 'dead');
});

test('silence marks no unit as dead: its numbers say more', async () => {
  const {get} = server([7, 15], UNITS);
  const run = {...RUN, unit_statistics: ['unit_idle_examples', 'unit_dead']};
  const grid = await fetchGrid(get, run, 'unit_idle_examples', 'layers');
  assert.ok(grid.kinds.every((kind) => kind === NUMBER));
});

test('a run without a map of units is not asked for one', async () => {
  const {get, asked} = server([], {});
  const grid = await fetchGrid(get, {...RUN, unit_statistics: []},
    'unit_activity', 'layers');
  assert.equal(grid.rows, 0);
  assert.deepEqual(asked, []);
});

test('a run of before a statistic was added is not asked for it', async () => {
  const {get, asked} = server([], {});
  for (const name of ['variable_learning_rate', 'gradient_of_tomorrow']) {
    const grid = await fetchGrid(get, RUN, name, 'layers');
    assert.equal(grid.rows, 0);
    assert.equal(messageOf(grid, 'layers', describe(name)),
      'This statistic was not recorded in this run.');
  }
  assert.deepEqual(asked, []);
});

test('a layer that never has a number has no row', async () => {
  const {get, asked} = server([0, 1],
    {mean_distance: [[NaN, 0.5], [NaN, NaN]]});
  const grid = await fetchGrid(get, RUN, 'mean_distance', 'layers');
  assert.deepEqual(asked, ['mean_distance of state']);
  assert.deepEqual(grid.named.map(({name}) => name), ['bn']);
  assert.deepEqual([...grid.values], [NaN, 0.5]);
  assert.deepEqual([...grid.kinds], [ABSENT, NUMBER]);
  assert.equal(grid.rows, 1);
});

test('a NaN in the data stays one, even throughout', async () => {
  const {get} = server([0, 1], {data_mean: [[0, 1], [NaN, NaN]]});
  const grid = await fetchGrid(get, RUN, 'data_mean', 'layers');
  assert.deepEqual(grid.named.map(({name}) => name), RUN.data);
  assert.deepEqual([...grid.kinds], [NUMBER, NUMBER, NAN, NAN]);
});

test('statistics that have not moved at all are marked', async () => {
  const run = {...RUN, state_statistics: ['state_movement']};
  const {get} = server([0, 1], {state_movement: [[0, 0], [NaN, NaN]]});
  const grid = await fetchGrid(get, run, 'state_movement', 'layers');
  assert.deepEqual([...grid.kinds], [ZERO, ZERO]);
});
