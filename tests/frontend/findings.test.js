import assert from 'node:assert/strict';
import test from 'node:test';

import {pieces} from '../../gradscope_plugin/static/basics/code_in_text.js';
import {
  countsOf, evidenceRows, rankOf, sinceText, summaryOf,
} from '../../gradscope_plugin/static/findings/text.js';
import {withKeys} from '../../gradscope_plugin/static/findings/panel.js';
import {
  cellsOf, columnsOf, isWhole, statisticFor,
} from '../../gradscope_plugin/static/findings/marks.js';

const finding = (more) => ({kind: 'vanishing-gradient', severity: 'warning',
  layer: 'a', steps: [0, 20], until_the_end: true, evidence: {},
  shown_by: {statistics: ['gradient_rms', 'gradient_norm'], role: null},
  ...more});

test('since when is told in the words of the command line', () => {
  const text = (steps, stays) => sinceText({steps, until_the_end: stays});
  assert.equal(text([0, 20], true), 'from the first step on');
  assert.equal(text([7, 20], true), 'since step 7');
  assert.equal(text([7, 7], false), 'in step 7');
  assert.equal(text([0, 9], false), 'from step 0 to 9');
});

test('a line around all cells points at nothing', () => {
  const grid = {rows: 3, columns: 5};
  const all = {from: 0, to: 3, first: 0, last: 4};
  assert.ok(isWhole(all, grid));
  for (const part of [{from: 1}, {to: 2}, {first: 1}, {last: 3}]) {
    assert.ok(!isWhole({...all, ...part}, grid));
  }
});

test('code stands between backquotes', () => {
  assert.deepEqual(pieces('Use `a` or `b`.').map(({text, isCode}) =>
    (isCode ? `<${text}>` : text)), ['Use ', '<a>', ' or ', '<b>', '.']);
  assert.deepEqual(pieces('`a`'), [{text: 'a', isCode: true}]);
  assert.deepEqual(pieces('5` long'), [{text: '5` long', isCode: false}]);
  assert.deepEqual(pieces('`a` 5` long').map(({text}) => text),
    ['a', ' 5` long']);
  assert.deepEqual(pieces(''), []);
});

test('evidence has its limits beside it, and no row of nothing', () => {
  assert.deepEqual(evidenceRows({
    ratio: 6.823104964321591e-6, ratio_limit: 0.01, loss_fall: null,
    is_adaptive: false, first: '<b>', records: 90,
    symptoms: ['a', 'b', 'c', 'd', 'e', 'f', 'g'],
  }), [
    {name: 'ratio', value: '6.823e-6', limit: '0.01'},
    {name: 'is adaptive', value: 'no', limit: ''},
    {name: 'first', value: '<b>', limit: ''},
    {name: 'records', value: '90', limit: ''},
    {name: 'symptoms', value: 'a, b, c, d, e and 2 more', limit: ''},
  ]);
});

test('a run without findings says in how many steps', () => {
  const reply = {findings: [], steps: 85, sampled: false, problem: null};
  assert.equal(summaryOf(reply), 'nothing found in 85 recorded steps');
  assert.equal(summaryOf({...reply, steps: 1}),
    'nothing found in 1 recorded step');
  assert.equal(summaryOf({...reply, sampled: true}),
    'nothing found in 85 of its recorded steps');
  assert.equal(summaryOf({...reply, findings: [finding()]}),
    'in 85 recorded steps');
  assert.equal(summaryOf({...reply, problem: 'too large'}), 'too large');
  assert.equal(summaryOf(null), 'being diagnosed…');
});

test('the worst severity decides the order of runs', () => {
  const of = (...severities) => ({findings: severities.map((severity) =>
    finding({severity}))});
  const ranks = [of('note', 'error'), of('warning'), of('note'), of(), null]
    .map(rankOf);
  assert.deepEqual(ranks, [0, 1, 2, 3, 3]);
  assert.deepEqual(countsOf(of('note', 'error', 'note').findings),
    [{severity: 'error', count: 1}, {severity: 'note', count: 2}]);
  const nan = {findings: [finding({severity: 'error'})], nonfinite: 'NaN'};
  assert.ok(rankOf(nan) < rankOf({...nan, nonfinite: null}));
});

test('findings keep their keys while their numbers change', () => {
  const keys = (...findings) => withKeys(findings).map(({key}) => key);
  const one = finding();
  assert.deepEqual(keys(one), keys(finding({steps: [0, 99], what: 'more'})));
  assert.equal(new Set(keys(one, one, finding({layer: 'b'}),
    finding({kind: 'dead-relu'}), finding({layer: null}))).size, 5);
});

test('a finding leads to the first statistic that a run has', () => {
  assert.equal(statisticFor(finding(), ['gradient_norm', 'gradient_rms']),
    'gradient_rms');
  assert.equal(statisticFor(finding(), ['gradient_norm']), 'gradient_norm');
  assert.equal(statisticFor(finding(), []), undefined);
});

const RUN = {
  layers: ['a', 'b'],
  variables: [{name: 'a/kernel', layer: 'a'}, {name: 'a/bias', layer: 'a'},
    {name: 'odd', layer: 'b'}],
  states: [{name: 'bn', kind: 'batch_norm'}, {name: 'bn_1', layer: 'bn'}],
};
const grid = (...names) => ({rows: names.length, steps: [0, 10, 20, 30],
  named: names.map((name) => typeof name === 'string' ? {name} : name)});
const rowsOf = (...args) =>
  cellsOf(...args).map(({from, to}) => [from, to]);

test('rows of a layer are found among every kind of rows', () => {
  const one = finding();
  assert.deepEqual(rowsOf(one, RUN, grid('a', 'b'), 'layers'), [[0, 1]]);
  const variables = grid('a/kernel', 'a/bias', 'odd');
  assert.deepEqual(rowsOf(one, RUN, variables, 'variables'), [[0, 2]]);
  assert.deepEqual(rowsOf(finding({layer: 'b'}), RUN, variables, 'variables'),
    [[2, 3]]);
  assert.deepEqual(rowsOf(one, RUN, grid('b/relu', 'a/relu', 'a'),
    'activations'), [[1, 3]]);
  const units = ['a/relu', 'a/relu', 'a/elu', 'b/relu']
    .map((group, n) => ({group, name: `${group}/${n}`}));
  assert.deepEqual(rowsOf(one, RUN, grid(...units), 'units'),
    [[0, 2], [2, 3]]);
  assert.deepEqual(rowsOf(finding({layer: 'bn'}), RUN,
    grid('bn', 'dropout', 'bn_1'), 'state'), [[0, 1], [2, 3]]);
});

test('data are marked by their role', () => {
  const data = grid('input/words', 'target', 'output');
  const inputs = finding({layer: null,
    shown_by: {statistics: ['data_rms'], role: 'input'}});
  assert.deepEqual(rowsOf(inputs, RUN, data, 'data'), [[0, 1]]);
  assert.deepEqual(rowsOf(finding(), RUN, data, 'data'), []);
});

test('all layers and variables that a finding names are marked', () => {
  const two = finding({evidence: {layers: ['a', 'c', null]}, layer: 'b'});
  assert.deepEqual(rowsOf(two, RUN, grid('a', 'x', 'b'), 'layers'),
    [[0, 1], [2, 3]]);
  const one = finding({evidence: {variables: ['a/bias']}, layer: null});
  assert.deepEqual(rowsOf(one, RUN, grid('a/kernel', 'a/bias'), 'variables'),
    [[1, 2]]);
});

test('columns are those of the first and the last step', () => {
  const [cells] = cellsOf(finding({steps: [10, 25]}), RUN, grid('a'),
    'layers');
  assert.deepEqual([cells.first, cells.last], [1, 2]);
  const all = columnsOf(finding({layer: null, steps: [30, 30]}),
    grid('a', 'b'));
  assert.deepEqual(all, [{from: 0, to: 2, first: 3, last: 3}]);
  assert.deepEqual(columnsOf(finding(), {rows: 0}), []);
  assert.deepEqual(cellsOf(finding(), RUN, undefined, 'layers'), []);
});
