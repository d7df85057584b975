/** Imports of the page point one way, as CONTRIBUTING says. */

import assert from 'node:assert/strict';
import {readdirSync, readFileSync} from 'node:fs';
import {dirname, join, normalize} from 'node:path';
import test from 'node:test';
import {fileURLToPath} from 'node:url';

const STATIC = fileURLToPath(
  new URL('../../gradscope_plugin/static/', import.meta.url));

// A module may import from its own folder and from those of the lines below.
const LAYERS = [
  ['.', 'reporting'],
  ['page'],
  ['layer', 'comparison', 'strip'],
  ['heatmap', 'findings'],
  ['scales', 'saving'],
  ['data'],
  ['statistics', 'basics'],
];

/** Returns `{path: [imported path, ...]}` of all modules. */
function imports() {
  const paths = readdirSync(STATIC, {recursive: true})
    .map(String).filter((path) => path.endsWith('.js'));
  return new Map(paths.map((path) => {
    const text = readFileSync(join(STATIC, path), 'utf8');
    const found = text.matchAll(/^[^*\n]*(?:from |import\()'(\.[^']*)'/gm);
    return [path, [...found].map(
      ([, target]) => normalize(join(dirname(path), target)))];
  }));
}

const layer = (path) =>
  LAYERS.findIndex((folders) => folders.includes(dirname(path)));

test('each folder of the page has its place, and imports from below', () => {
  const modules = imports();
  assert.ok(modules.size > 60);
  for (const [path, targets] of modules) {
    assert.notEqual(layer(path), -1, `${path} is in no folder of the list`);
    for (const target of targets) {
      assert.ok(modules.has(target), `${path} imports ${target}`);
      assert.ok(
        layer(target) > layer(path) || dirname(target) === dirname(path),
        `${path} imports ${target} from above or beside`);
    }
  }
});

test('no module imports itself by way of others', () => {
  const modules = imports();
  const done = new Set();
  const visit = (path, trail) => {
    assert.ok(!trail.includes(path), [...trail, path].join(' -> '));
    if (done.has(path)) return;
    modules.get(path).forEach((target) => visit(target, [...trail, path]));
    done.add(path);
  };
  for (const path of modules.keys()) visit(path, []);
});
