/** Where to look for a finding: its statistic, its cells in a grid; pure. */

import {columnOf} from '../scales/axis.js';

/**
 * Returns the statistic that shows a finding.
 * @param {Object} finding of `/findings`
 * @param {string[]} available statistics of the run
 * @return {string|undefined} nothing if the run has none that shows it
 */
export function statisticFor({shown_by: {statistics}}, available) {
  return statistics.find((name) => available.includes(name));
}

/** Returns the layer of an activation, as the rules name it. */
const layerPart = (name) => name.slice(0, name.lastIndexOf('/')) || name;

const byName = (rows) => new Map(rows.map((row) => [row.name, row.layer]));

// Of each kind of rows the names by which a finding may mean a row.
const NAMES_OF = {
  layers: () => ({name}) => [name],
  variables: ofVariables,
  kernels: ofVariables,
  activations: () => ({name}) => [name, layerPart(name)],
  units: () => ({group}) => [group, layerPart(group)],
  state: ({states}) => {
    const layers = byName(states);
    return ({name}) => [name, layers.get(name)];
  },
};

function ofVariables({variables}) {
  const layers = byName(variables);
  return ({name}) => [name, layers.get(name)];
}

/**
 * Returns the cells that a finding is about, as blocks of neighbouring rows.
 * @param {Object} finding
 * @param {Object} run of `/runs`
 * @param {Object} grid
 * @param {string} rows kind of the grid's rows
 * @return {{from: number, to: number, first: number, last: number}[]} rows,
 *     `to` excluded, and columns, `last` included; none if there is no such row
 */
export function cellsOf(finding, run, grid, rows) {
  if (!grid?.rows) return [];
  const isMeant = rowsMeant(finding, run, rows);
  const [first, last] = finding.steps.map((step) =>
    columnOf(grid.steps, step));
  const blocks = [];
  grid.named.forEach((row, index) => {
    if (!isMeant(row)) return;
    const block = blocks.at(-1);
    if (block?.to === index && block.group === row.group) block.to = index + 1;
    else blocks.push({from: index, to: index + 1, group: row.group});
  });
  return blocks.map(({from, to}) => ({from, to, first, last}));
}

function rowsMeant(finding, run, rows) {
  if (rows === 'data') {
    const {role} = finding.shown_by;
    return ({name}) => name.split('/')[0] === role;
  }
  const {layers, variables} = finding.evidence;
  const names = new Set([finding.layer, layers, variables].flat()
    .filter((name) => typeof name === 'string'));
  const namesOf = NAMES_OF[rows](run);
  return (row) => namesOf(row).some((name) => names.has(name));
}

/** Returns the cells of the steps of a finding that is about no single row. */
export function columnsOf(finding, grid) {
  if (!grid?.rows) return [];
  const [first, last] = finding.steps.map((step) =>
    columnOf(grid.steps, step));
  return [{from: 0, to: grid.rows, first, last}];
}

/** Whether a block has all cells of a grid: a line around them points at
 * nothing. */
export function isWhole({from, to, first, last}, {rows, columns}) {
  return from === 0 && to === rows && first === 0 && last === columns - 1;
}
