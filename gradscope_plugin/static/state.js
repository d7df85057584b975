/** What the user chose; survives a reload of the page. */

import {ROWS, groupOf} from './statistics.js';

// TensorBoard's own keys live in the same storage.
const KEY = 'gradscope.view';

// More heatmaps than fit on a screen help nobody; the others are a click away.
const SHOWN_AT_FIRST = 6;

const DEFAULTS = {
  statistic: 'gradient_norm',
  // Of each group of statistics the one chosen last.
  latest: {},
  rows: 'layers',
  filter: '',
  checked: {},
  domains: {},
  // Whether the panel of findings is.
  folded: false,
};

/** Returns the state with `set(changes)`; each change is stored and told. */
export function createState(onChange, storage = browserStorage()) {
  const state = {...DEFAULTS, ...read(storage)};
  if (!ROWS.includes(state.rows)) state.rows = DEFAULTS.rows;
  return {
    get view() {
      return state;
    },
    set(changes) {
      Object.assign(state, changes);
      try {
        storage.setItem(KEY, JSON.stringify(state));
      } catch {
        // Private windows have no storage; the choice lasts for this page.
      }
      onChange();
    },
  };
}

/** Returns the changes that choose a statistic. */
export function chooseStatistic({latest}, statistic) {
  return {statistic, latest: {...latest, [groupOf(statistic)]: statistic}};
}

/**
 * Returns the statistic to show of a group: the one chosen last, or the first.
 * @param {{latest: Object<string, string>}} view
 * @param {{name: string, statistics: string[]}} group
 */
export function statisticIn({latest}, {name, statistics}) {
  const last = latest?.[name];
  return statistics.includes(last) ? last : statistics[0];
}

/**
 * Applies the filter and the checkboxes.
 * @return {{listed: Object[], shown: Object[], error: string}} runs that match,
 *     those of them that are checked, and what is wrong with the filter
 */
export function chooseRuns(runs, {filter, checked}, labelOf) {
  let error = '';
  let listed = runs;
  try {
    const pattern = new RegExp(filter, 'i');
    listed = runs.filter((run) => pattern.test(labelOf(run.name)));
  } catch (problem) {
    error = `Not a regular expression: ${problem.message}`;
  }
  const atFirst = new Set(runs.slice(0, SHOWN_AT_FIRST));
  const isChecked = (run) => Object.hasOwn(checked, run.name)
    ? checked[run.name] : atFirst.has(run);
  return {listed, shown: listed.filter(isChecked), error};
}

function browserStorage() {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}

function read(storage) {
  try {
    return JSON.parse(storage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}
