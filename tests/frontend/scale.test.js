import assert from 'node:assert/strict';
import test from 'node:test';

import {everyThatFits}
  from '../../gradscope_plugin/static/heatmap/legend.js';
import {
  fitDomain, isDomain, isFlat, linearScale, logScale, makeScale,
} from '../../gradscope_plugin/static/scales/scale.js';

const close = (actual, expected) =>
  assert.ok(Math.abs(actual - expected) < 1e-12, `${actual} != ${expected}`);

test('each decade of a log scale takes the same room', () => {
  const {position} = logScale([1e-8, 1e2]);
  for (let exponent = -8; exponent <= 2; exponent++) {
    close(position(10 ** exponent), (exponent + 8) / 10);
  }
});

test('positions outside the domain lie outside 0 to 1', () => {
  const {position} = logScale([1e-3, 1]);
  close(position(1e-6), -1);
  close(position(1e3), 2);
});

test('a center lies in the middle, however unequal the two sides', () => {
  const {position} = logScale([1e-5, 1], 1e-3);
  close(position(1e-5), 0);
  close(position(1e-4), 0.25);
  close(position(1e-3), 0.5);
  close(position(1), 1);
});

test('a center outside the domain is ignored', () => {
  close(logScale([1e-2, 1], 1e-3).position(0.1), 0.5);
});

test('a linear scale has a center, too', () => {
  const {position} = linearScale([-1, 3], 0);
  assert.deepEqual([-1, -0.5, 0, 1.5, 3].map(position),
    [0, 0.25, 0.5, 0.75, 1]);
  close(linearScale([1, 3], 0).position(2), 0.5);
});

test('linear scales are linear', () => {
  const {position, ticks} = linearScale([0, 1]);
  close(position(0.3), 0.3);
  assert.deepEqual(ticks, [0, 0.25, 0.5, 0.75, 1]);
});

test('ticks are powers of ten, at most eight of them', () => {
  assert.deepEqual(logScale([1e-3, 10]).ticks, [1e-3, 1e-2, 0.1, 1, 10]);
  assert.deepEqual(logScale([2e-3, 20]).ticks, [1e-2, 0.1, 1, 10]);
  assert.ok(logScale([1e-38, 1e38]).ticks.length <= 8);
});

test('the description of a statistic chooses the scale', () => {
  assert.equal(makeScale({scale: 'log', domain: [1, 100]}).kind, 'log');
  assert.equal(makeScale({scale: 'linear', domain: [0, 1]}).kind, 'linear');
});

test('domains that are none are refused', () => {
  assert.throws(() => logScale([0, 1]), /log scale needs two numbers above 0.*got 0,1/);
  assert.throws(() => logScale([1, 1]), /the smaller one first; got 1,1/);
  assert.throws(() => linearScale([NaN, 1]), /linear scale .*got NaN,1/);
  assert.equal(isDomain([0, 1], 'linear'), true);
  for (const none of [undefined, null, [], [1], [0, Infinity], ['a', 'b']]) {
    assert.equal(isDomain(none, 'linear'), false);
  }
});

test('fitting takes whole decades and skips what is not a number', () => {
  const arrays = [
    Float32Array.of(0.02, NaN, 0), Float32Array.of(Infinity, 30, -1)];
  assert.deepEqual(fitDomain(arrays, 'log'), [0.01, 100]);
  assert.deepEqual(fitDomain([Float32Array.of(1)], 'log'), [1, 10]);
  assert.equal(fitDomain([Float32Array.of(NaN, 0)], 'log'), null);
});

test('fitting a linear scale takes the smallest and the largest', () => {
  assert.deepEqual(fitDomain([Float32Array.of(0.5, 0, NaN)], 'linear'),
    [0, 0.5]);
  assert.deepEqual(fitDomain([Float32Array.of(2, 2)], 'linear'), [2, 3]);
});

test('runs are flat where a log scale gives them one colour', () => {
  const fixed = logScale([1e-8, 10]);
  const flat = (...ranges) => isFlat(ranges.map((range) =>
    Float32Array.from(range)), fixed);
  assert.ok(flat([0.2, 0.9], [0.3, 1.4]));
  assert.ok(!flat([0.2, 0.9], [0.001, 0.002]));
  assert.ok(!flat() && !flat([Infinity, -Infinity]));
  assert.ok(!isFlat([Float32Array.of(0.9, 1.1)], logScale([0.1, 10], 1)));
  assert.ok(!isFlat([Float32Array.of(0.4, 0.5)], linearScale([0, 1])));
});

test('numbers below the ramp do not touch each other', () => {
  const short = ['1', '2', '3', '4'];
  const places = [0.2, 0.4, 0.6, 0.8];
  assert.equal(everyThatFits(short, places, 150), 1);
  const decades = ['1e-5', '1e-4', '0.001', '0.01', '0.1'];
  const sixths = [1, 2, 3, 4, 5].map((n) => n / 6);
  assert.equal(everyThatFits(decades, sixths, 150), 2);
  // What little room has is among what much room has.
  assert.equal(everyThatFits(decades, sixths, 80, 2), 4);
  assert.equal(everyThatFits([], [], 150), 1);
  assert.equal(everyThatFits(['a long one', 'another'], [0.4, 0.6], 50), 2);
});
