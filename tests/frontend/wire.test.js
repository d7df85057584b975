import assert from 'node:assert/strict';
import test from 'node:test';

import {fetchMatrix, joined, parseMatrix, rowOf}
  from '../../gradscope_plugin/static/data/matrices.js';
import {encode} from './server.js';

// The example of http_api.md: steps 0 and 10, norms 0.5 and 0.25, mark 7.
const EXAMPLE = '010000000200000000000000020000000700000000000000'
  + '000000000000000000000000000024400000003f0000803e';
const bytes = (hex) => Uint8Array.from(
  hex.match(/../g), (pair) => parseInt(pair, 16)).buffer;

test('the documented example is read', () => {
  const {rows, columns, start, total, mark, steps, values} =
    parseMatrix(bytes(EXAMPLE));
  assert.deepEqual([rows, columns, start, total, mark], [1, 2, 0, 2, 7]);
  assert.deepEqual([...steps], [0, 10]);
  assert.deepEqual([...values], [0.5, 0.25]);
});

test('NaN and infinity survive', () => {
  const {values} = parseMatrix(encode([0, 1], [[NaN, Infinity]]));
  assert.deepEqual([...values], [NaN, Infinity]);
});

test('a matrix cut short is refused with both sizes', () => {
  assert.throws(() => parseMatrix(bytes(EXAMPLE).slice(0, 44)),
    /1 x 2 matrix of 48 bytes got 44/);
});

const first = parseMatrix(encode([0, 1], [[1, 2], [3, 4]], {total: 3}));
const next = parseMatrix(encode([5], [[9], [8]], {start: 2, mark: 8}));

test('new columns go behind those that are there', () => {
  const whole = joined(first, next);
  assert.deepEqual([...whole.steps], [0, 1, 5]);
  assert.deepEqual([...rowOf(whole, 0)], [1, 2, 9]);
  assert.deepEqual([...rowOf(whole, 1)], [3, 4, 8]);
  assert.equal(whole.mark, 8);
});

test('what begins anew replaces all', () => {
  const anew = parseMatrix(encode([7], [[5], [6]]));
  assert.equal(joined(first, anew), anew);
  const other = parseMatrix(encode([7], [[5]], {start: 2}));
  assert.equal(joined(first, other), other, 'another number of rows');
});

test('only what is new is asked for, until all is there', async () => {
  const asked = [];
  const replies = [encode([0, 1], [[1, 2]], {total: 3}),
    encode([5], [[9]], {start: 2, mark: 8}),
    encode([], [[]], {start: 3, mark: 8})];
  const get = async (url) => {
    asked.push(url);
    return /** @type {any} */ ({arrayBuffer: async () => replies.shift()});
  };
  const whole = await fetchMatrix(get, 'matrix', {run: 'a b'});
  assert.deepEqual([...whole.steps], [0, 1, 5]);
  await fetchMatrix(get, 'matrix', {run: 'a b'}, whole);
  assert.deepEqual(asked, ['matrix?run=a+b&soon=1',
    'matrix?run=a+b&soon=1&after=1&mark=7',
    'matrix?run=a+b&soon=1&after=5&mark=8']);
});
