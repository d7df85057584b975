import assert from 'node:assert/strict';
import test from 'node:test';

import {NAN, NUMBER, ZERO} from '../../gradscope_plugin/static/data/cell_kinds.js';
import {csvOf, field, fileName, gridLines, seriesLines}
  from '../../gradscope_plugin/static/saving/csv.js';
import {hashOf, viewOf} from '../../gradscope_plugin/static/basics/view_link.js';
import {DEFAULTS, createState} from '../../gradscope_plugin/static/page/view_state.js';

test('a grid is a table of exact numbers, and of words', () => {
  const grid = {rows: 2, columns: 2, steps: Float64Array.of(0, 10),
    named: [{name: 'a'}, {name: 'b,"c"'}],
    values: Float32Array.of(0.1, 0, NaN, Infinity),
    kinds: Uint8Array.of(NUMBER, ZERO, NAN, 3)};
  assert.equal(csvOf(gridLines(grid)),
    'row,0,10\r\na,0.1,0\r\n"b,""c""",NaN,Infinity\r\n');
});

test('series are a line a step', () => {
  const text = csvOf(seriesLines([0, 5], [{name: 'n', values: [1, NaN]}]));
  assert.equal(text, 'step,n\r\n0,1\r\n5,NaN\r\n');
});

test('a name is never a formula', () => {
  assert.equal(field('=1+1'), "'=1+1");
  assert.equal(field('@x,y'), '"\'@x,y"');
});

test('file names are plain', () => {
  assert.equal(fileName(['mlp/he', '<b>', ''], 'csv'), 'mlp_he-_b_.csv');
  assert.equal(fileName([], 'png'), 'gradscope.png');
});

test('a link says what was chosen, and nothing else', () => {
  const view = {...DEFAULTS, statistic: 'weight_norm', pins: ['a', 'b&=#'],
    zoom: {steps: [1, 9], rows: null}, secret: 1};
  const hash = hashOf(view, DEFAULTS);
  assert.match(hash, /^#gradscope&p\.gradscope\.view=[^&#]*$/);
  assert.deepEqual(viewOf(hash, DEFAULTS), {statistic: 'weight_norm',
    pins: ['a', 'b&=#'], zoom: {steps: [1, 9], rows: null}});
  assert.equal(viewOf('#gradscope', DEFAULTS), null);
});

test('a damaged link changes nothing', () => {
  for (const text of ['%', '{', '7', '{"pins":1,"solo2":2,"filter":3}']) {
    const found = viewOf(`#gradscope&p.gradscope.view=${text}`, DEFAULTS);
    assert.deepEqual(found ?? {}, {});
  }
});

test('what cannot be is not taken from a link or from the storage', () => {
  const linked = {rows: 'x', zoom: {steps: [9, 1]}, pins: [1], filter: 'a'};
  const {view} = createState(() => {}, null, linked);
  assert.deepEqual(view, {...DEFAULTS, filter: 'a'});
});
