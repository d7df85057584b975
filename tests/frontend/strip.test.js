import assert from 'node:assert/strict';
import test from 'node:test';

import {createCurves, joinedCurves}
  from '../../gradscope_plugin/static/data/curves.js';
import {lanesOf, scaleOf, skippedSteps}
  from '../../gradscope_plugin/static/strip/lanes.js';
import {packed} from '../../gradscope_plugin/static/strip/spans.js';
import {curvesOf} from '../../gradscope_plugin/static/heatmap/depth_profile.js';

const REPLY = {start: 0, total: 3, mark: 7, steps: [0, 1, 2],
  curves: {loss: [3, 'NaN', 'Infinity'], learning_rate: [0.1, 0.1, 0.1]},
  epochs: [{step: 3, epoch: 0, values: {loss: 2, val_loss: 'NaN', mae: 1,
    val_mae: 2}}]};

const run = (name, reply) =>
  ({name, color: 'red', curves: joinedCurves(null, reply)});

test('a reply becomes numbers, and what is new is added', () => {
  const first = joinedCurves(null, REPLY);
  assert.deepEqual([...first.values.get('loss')], [3, NaN, Infinity]);
  assert.ok(Number.isNaN(first.epochs[0].values.val_loss));
  const more = {...REPLY, start: 3, mark: 8, steps: [3],
    curves: {loss: [1], loss_scale: [2]}};
  const both = joinedCurves(first, more);
  assert.deepEqual([...both.steps], [0, 1, 2, 3]);
  assert.deepEqual([...both.values.get('loss')], [3, NaN, Infinity, 1]);
  assert.deepEqual([...both.values.get('loss_scale')], [NaN, NaN, NaN, 2]);
  assert.equal(joinedCurves(both, REPLY).steps.length, 3, 'begins anew');
});

test('only what is new of a run is asked for, and once', async () => {
  const urls = [];
  const curves = createCurves(async (url) => {
    urls.push(url);
    return /** @type {any} */ ({json: async () => REPLY});
  });
  const now = {name: 'a', steps: 3, last_wall_time: 1};
  await curves.of(now);
  await curves.of(now);
  await curves.of({...now, steps: 4});
  assert.deepEqual(urls, ['curves?run=a', 'curves?run=a&after=2&mark=7']);
});

test('loss and validation share a lane, and what is constant is a text', () => {
  const {lanes, metrics, texts} = lanesOf([run('a', REPLY)]);
  assert.deepEqual(lanes.map(({name}) => name), ['loss', 'metric']);
  const [loss, metric] = lanes;
  assert.deepEqual(loss.lines.map(({name, isDashed}) => [name, isDashed]),
    [['loss', false], ['val_loss', true]]);
  assert.deepEqual(metrics, ['mae']);
  assert.deepEqual(metric.lines.map(({name}) => name), ['mae', 'val_mae']);
  assert.deepEqual(texts, ['learning rate 0.1']);
});

test('a loss of epochs is shown where that of steps is not known', () => {
  const {lanes} = lanesOf([run('a', {...REPLY, curves: {}})]);
  assert.deepEqual([...lanes[0].lines[0].steps], [3]);
  assert.equal(lanes[0].lines[0].values[0], 2);
});

test('a rate that changes has a lane, a line for each run', () => {
  const rates = (values) => ({...REPLY, curves: {learning_rate: values}});
  const {lanes, texts} = lanesOf([run('a', rates([1, 1, 1])),
    run('b', rates([1, 0.5, 0.1]))]);
  const lane = lanes.find(({name}) => name === 'learning_rate');
  assert.deepEqual(lane.lines.map((line) => line.run), ['a', 'b']);
  assert.deepEqual(texts, []);
});

test('skipped steps are counted, and known where they are', () => {
  const scaled = run('a', {...REPLY, curves: {loss_scale: [8, 4, 4],
    skipped: [0, 2, 2]}});
  assert.deepEqual(lanesOf([scaled]).texts,
    ['2 steps skipped by the loss scale']);
  assert.deepEqual(skippedSteps(scaled.curves), [1]);
});

test('a scale is log over orders of magnitude, and one run is not all', () => {
  const scale = (...lists) => scaleOf(lists.map((values) =>
    ({values: Float32Array.from(values)})));
  assert.equal(scale([2, 1, 0.9]).kind, 'linear');
  assert.equal(scale([100, 1, 0.9]).kind, 'log');
  assert.equal(scale([-1, 100, 1]).kind, 'linear');
  const usual = Array(40).fill(2);
  const beyond = scale(usual, [1e12, NaN]);
  assert.ok(beyond.domain[1] < 30);
  assert.equal(beyond.most, Math.fround(1e12));
  assert.deepEqual(scale([NaN]).kind, 'linear');
});

test('an accuracy has its own numbers beside it, and one that stays a middle', () => {
  const scale = (...values) => scaleOf([{values}]);
  assert.deepEqual(scale(0.5, 1).ends, [0.5, 1]);
  assert.deepEqual(scale(1e-3, NaN, 10).ends, [1e-3, 10]);
  for (const value of [0.9, -3, 1e-9]) {
    assert.deepEqual(scale(value, NaN, value).ends, [value, value]);
    const place = scale(value, value).position(value);
    assert.ok(Math.abs(place - 0.5) < 1e-6, `${value} lies at ${place}`);
  }
  assert.equal(scale(0, 0).position(0), 0);
});

test('spans that overlap lie below each other, in three rows at most', () => {
  const span = (from, to) => ({from, to});
  const rows = (...spans) => packed(spans).map(({row}) => row);
  assert.deepEqual(rows(span(0, 5), span(3, 9), span(5, 8)), [0, 1, 0]);
  assert.deepEqual(rows(...Array(5).fill(span(0, 9))), [0, 1, 2, 2, 2]);
});

test('kinds of rows have a curve each, but for kinds of which there are few', () => {
  const points = ['kernel', 'norm', 'kernel', 'norm', 'kernel', 'norm', 'kernel',
    'embeddings'].map((group, row) => ({group, row}));
  const curves = curvesOf(points);
  assert.deepEqual(curves.map(({group}) => group), ['kernel', 'norm']);
  assert.deepEqual(curves[0].points.map(({row}) => row), [0, 2, 4, 6, 7]);
  assert.deepEqual(curves[1].points.map(({row}) => row), [1, 3, 5]);
  assert.deepEqual(curvesOf([]), []);
});
