import assert from 'node:assert/strict';
import test from 'node:test';

import {blockOf, blocksOf}
  from '../../gradscope_plugin/static/data/blocks.js';
import {
  heightOf, middleOf, placeRows, rowsAt, topOf,
} from '../../gradscope_plugin/static/heatmap/row_places.js';

const named = (count, nameOf) =>
  Array.from({length: count}, (_, i) => ({name: nameOf(i)}));

test('names tell their blocks', () => {
  assert.equal(blockOf('stage_3/dense_1'), 'stage_3');
  assert.equal(blockOf('stage_3/dense_1/kernel'), 'stage_3');
  assert.equal(blockOf('conv2_block1_1_conv'), 'conv2_block1');
  assert.equal(blockOf('encoder_layer_3_dense'), 'encoder_layer_3');
  assert.equal(blockOf('dense_1'), '');
  assert.equal(blockOf('dense/kernel'), '');
});

test('a model whose rows are all seen has no blocks', () => {
  assert.deepEqual(blocksOf(named(48, (i) => `block_${i % 2}/dense_${i}`)), []);
});

test('neighbours of one block are put together, in order', () => {
  const blocks = blocksOf(named(60, (i) => `b${Math.floor(i / 20)}/x_${i}`));
  assert.deepEqual(blocks, [{name: 'b0', from: 0, to: 20},
    {name: 'b1', from: 20, to: 40}, {name: 'b2', from: 40, to: 60}]);
});

test('without blocks of its own a deep model is cut into parts', () => {
  const blocks = blocksOf(named(2000, (i) => `dense_${i}`));
  assert.equal(blocks.length, 100);
  assert.equal(blocks[1].name, 'dense_20 … dense_39');
  assert.equal(blocks.at(-1).to, 2000);
});

const places = (isOpen) => placeRows({rows: 60, blocks: [
  {name: 'a', from: 0, to: 20}, {name: 'b', from: 20, to: 59},
  {name: 'c', from: 59, to: 60}]}, isOpen);

test('folded blocks are a line each, a single row is none', () => {
  const placed = places(() => false);
  assert.deepEqual(placed.blocks.map(({isFolded}) => isFolded),
    [true, true, false]);
  assert.equal(placed.total, 16 + 16 + 18);
  assert.deepEqual(rowsAt(placed, 20), {from: 20, to: 59});
  assert.equal(topOf(placed, 19), 0);
  assert.equal(heightOf(placed, 19), 16);
});

test('rows of a folded block have their own heights for a curve', () => {
  const placed = places(() => false);
  assert.ok(middleOf(placed, 0) < middleOf(placed, 10));
  assert.ok(middleOf(placed, 19) < 16);
});

test('an open block has its name above its rows', () => {
  const placed = places((name) => name === 'b');
  assert.equal(placed.blocks[1].head, 16);
  assert.equal(placed.blocks[1].top, 16 + 17);
  assert.deepEqual(rowsAt(placed, topOf(placed, 30)), {from: 30, to: 31});
});
