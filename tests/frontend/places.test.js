import assert from 'node:assert/strict';
import test from 'node:test';

import {
  awaitedHeight, HIGHEST, labelledBlocks, labelledRows, labelledUnits, placeRows, rowHeight, rowsAt,
  topOf, unitHeight,
} from '../../gradscope_plugin/static/heatmap/row_places.js';

const rowAt = (places, y) => rowsAt(places, y).from;

const groupsOfSizes = (...sizes) => {
  let from = 0;
  return sizes.map((size) => {
    const group = {from, to: from + size};
    from += size;
    return group;
  });
};
const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
const placed = (...sizes) => placeRows(
  {rows: sum(sizes), groups: groupsOfSizes(...sizes)});

test('200 rows get 3 pixels each, few rows 18', () => {
  assert.deepEqual([1, 23, 60, 200, 1000].map(rowHeight),
    [18, 18, 7, 3, 3]);
});

test('units are thin lines where there are many', () => {
  assert.deepEqual([4, 64, 208, 320, 640, 25600].map(unitHeight),
    [18, 10, 3, 2, 1, 1]);
});

test('names never overlap', () => {
  for (const rows of [1, 12, 60, 200, 1000]) {
    const height = rowHeight(rows);
    const labelled = labelledRows(rows, height);
    assert.equal(labelled[0], 0);
    assert.ok(labelled.every((row) => row < rows));
    assert.ok(labelled.every((row, i) =>
      i === 0 || (row - labelled[i - 1]) * height >= 14));
  }
});

test('without groups rows follow each other', () => {
  const places = placeRows({rows: 12});
  assert.equal(places.total, 12 * 18);
  assert.deepEqual([0, 1, 11].map((row) => topOf(places, row)), [0, 18, 198]);
});

test('every row is where the pointer finds it, gaps or not', () => {
  for (const sizes of [[1], [64, 128, 16], [3, 1, 1], [300, 5]]) {
    const places = placed(...sizes);
    for (let row = 0; row < sum(sizes); row++) {
      const top = topOf(places, row);
      assert.equal(rowAt(places, top), row);
      assert.equal(rowAt(places, top + places.height - 0.01), row);
      assert.ok(top + places.height <= places.total);
    }
    assert.equal(rowAt(places, -1), 0);
    assert.equal(rowAt(places, places.total + 1), sum(sizes) - 1);
  }
});

test('groups stand apart, and a gap belongs to the row above', () => {
  const places = placed(64, 64);
  const end = topOf(places, 63) + places.height;
  assert.ok(topOf(places, 64) >= end + 4);
  assert.equal(rowAt(places, end + 1), 63);
});

test('names of groups never overlap, and small groups get one line', () => {
  for (const sizes of [[64, 64], [2, 2, 2, 200], [1, 1, 1, 400], [8]]) {
    const labels = labelledBlocks(placed(...sizes));
    assert.equal(labels[0].block.top, 0);
    labels.slice(1).forEach(({block}, index) => {
      const above = labels[index];
      assert.ok(block.top - above.block.top >= 13 * above.lines);
    });
  }
  assert.deepEqual(labelledBlocks(placed(64, 4, 200)).map((l) => l.lines),
    [2, 1, 2]);
});

test('of thin units every so many is numbered, and the first of each', () => {
  const places = placed(64, 16, 130);
  assert.equal(places.height, 3);
  assert.deepEqual(labelledUnits(places).slice(0, 10),
    [0, 8, 16, 24, 32, 40, 48, 56, 64, 72]);
  assert.deepEqual(labelledUnits(placed(3)), [0, 1, 2]);
});

test('the room that is kept is that of the picture to come', () => {
  const names = ['a', 'b', 'c'];
  assert.equal(awaitedHeight({layers: names}), placeRows({rows: 3}).total);
  const blocks = Array.from({length: 40}, (_, i) =>
    ['query', 'key', 'out'].map((part) => `block_${i}/${part}`)).flat();
  assert.equal(awaitedHeight({layers: blocks}), 40 * 16);
  assert.equal(awaitedHeight({}), awaitedHeight({layers: []}));
  const many = Array.from({length: 1000}, (_, i) => `dense_${i}`);
  assert.equal(awaitedHeight({layers: many}), HIGHEST);
});
