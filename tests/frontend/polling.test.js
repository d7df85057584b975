import assert from 'node:assert/strict';
import test from 'node:test';

import {createPolling} from '../../gradscope_plugin/static/findings/polling.js';

/** A server that answers when it is told to, and a clock. */
function laboratory() {
  const clock = {time: 0, timers: [], now: () => clock.time,
    later: (call, wait) => clock.timers.push({call, wait})};
  const asked = [];
  let fails = false;
  const get = async (url) => {
    asked.push(url);
    if (fails) throw new Error('no answer');
    return {json: async () => ({findings: [], steps: asked.length})};
  };
  let changes = 0;
  const asking = createPolling(get, () => { changes += 1; }, clock);
  return {asking, asked, clock, changes: () => changes, fail: () => {
    fails = true;
  }};
}
const run = (name, steps) => ({name, steps, last_wall_time: steps});

test('runs are asked for once, until they have grown', async () => {
  const {asking, asked, clock, changes} = laboratory();
  assert.equal(asking.of(run('a/b', 1)), null);
  await asking.follow([run('a/b', 1), run('c', 1)]);
  await asking.follow([run('a/b', 1), run('c', 1)]);
  assert.deepEqual(asked, ['findings?run=a%2Fb&soon=1', 'findings?run=c&soon=1']);
  assert.equal(changes(), 2);
  clock.time = 10_000;
  await asking.follow([run('a/b', 2), run('c', 1)]);
  assert.equal(asked.length, 3);
  assert.equal(asking.of(run('a/b', 2)).steps, 3);
  assert.equal(clock.timers.length, 0);
});

test('a live run is asked for every ten seconds at most', async () => {
  const {asking, asked, clock} = laboratory();
  await asking.follow([run('a', 1)]);
  clock.time = 4000;
  await asking.follow([run('a', 2)]);
  await asking.follow([run('a', 3)]);
  assert.equal(asked.length, 1);
  assert.deepEqual(clock.timers.map(({wait}) => wait), [6000]);
  clock.time = 10_000;
  clock.timers[0].call();
  await new Promise(setImmediate);
  assert.equal(asked.length, 2);
});

test('a failed request leaves what was found before', async () => {
  const {asking, clock, fail} = laboratory();
  await asking.follow([run('a', 1)]);
  fail();
  clock.time = 10_000;
  await asking.follow([run('a', 2)]);
  assert.equal(asking.of(run('a', 2)).steps, 1);
  await asking.follow([run('b', 1)]);
  assert.equal(asking.of(run('b', 1)).problem, 'no answer');
});

test('after a failed request the next reload asks again', async () => {
  const {asking, asked, clock, fail} = laboratory();
  fail();
  await asking.follow([run('a', 1)]);
  assert.deepEqual(clock.timers, []);
  clock.time = 10_000;
  await asking.follow([run('a', 1)]);
  assert.equal(asked.length, 2);
});
