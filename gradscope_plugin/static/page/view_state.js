/** What the user chose; survives a reload of the page. */

import {KINDS} from '../scales/step_axis.js';
import {ROWS, groupOf} from '../statistics/statistics.js';

// TensorBoard's own keys live in the same storage, and so do other reports.
const KEY = ['gradscope.view',
  globalThis.document?.documentElement.dataset.report].filter(Boolean).join(' ');

// More heatmaps than fit on a screen help nobody; the others are a click away.
const SHOWN_AT_FIRST = 6;

export const DEFAULTS = {
  statistic: 'gradient_norm',
  // Of each group of statistics the one chosen last.
  latest: {},
  rows: 'layers',
  // How steps are spread, see `step_axis.js`.
  axis: 'linear',
  filter: '',
  checked: {},
  domains: {},
  // Whether the panel of findings is.
  folded: false,
  // Whether the strip of losses and rates is, and the metric that it shows.
  stripFolded: false,
  metric: '',
  // The only run that is shown, where one was opened.
  solo: null,
  // Two runs to compare, and whether they are.
  pins: [],
  comparing: false,
  // What is seen of all heatmaps, see `viewport.js`.
  zoom: {steps: null, rows: null},
  // Blocks of deep models that are not folded.
  unfolded: [],
  // The cell at the cursor, `{run, name, step}`, and the layer whose detail is
  // shown, `{run, layer}`.
  cursor: null,
  layer: null,
};

/** Returns the state with `set(changes)`; each change is stored and told. */
export function createState(onChange, storage = browserStorage(), linked = {}) {
  const state = {...DEFAULTS, ...sound(read(storage)), ...sound(linked)};
  const save = () => {
    try {
      storage.setItem(KEY, JSON.stringify(state));
    } catch {
      // Private windows have no storage; the choice lasts for this page.
    }
  };
  return {
    get view() {
      return state;
    },

    /** Stores changes without telling, as of what is drawn already. */
    note(changes) {
      Object.assign(state, changes);
      save();
    },
    set(changes) {
      Object.assign(state, changes);
      save();
      onChange();
    },
  };
}

/** Returns of a stored or linked view what can be used. */
function sound(view) {
  const soundView = {...view};
  if (!ROWS.includes(soundView.rows)) delete soundView.rows;
  if (!KINDS.includes(soundView.axis)) delete soundView.axis;
  const isPair = (value) => value === null || (Array.isArray(value)
    && value.length === 2 && value.every(Number.isFinite)
    && value[0] < value[1]);
  const {steps = null, rows = null} = soundView.zoom ?? {};
  if (!isPair(steps) || !isPair(rows)) delete soundView.zoom;
  for (const name of ['pins', 'unfolded']) {
    if (name in soundView && !(Array.isArray(soundView[name])
      && soundView[name].every((text) => typeof text === 'string'))) {
      delete soundView[name];
    }
  }
  return soundView;
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
 * Applies the filter and the checkboxes; the worst runs are ticked at first.
 * @param {Object[]} runs
 * @param {Object} view
 * @param {(name: string) => string} labelOf
 * @param {(run: Object) => number=} rank smaller is worse
 * @return {{listed: Object[], shown: Object[], error: string}} runs that match,
 *     those of them that are checked, and what is wrong with the filter
 */
export function chooseRuns(runs, {filter, checked, solo = null}, labelOf,
    rank = () => 0) {
  let error = '';
  let listed = runs;
  try {
    const pattern = new RegExp(filter, 'i');
    listed = runs.filter((run) => pattern.test(labelOf(run.name)));
  } catch (problem) {
    error = `Not a regular expression: ${problem.message}`;
  }
  const atFirst = new Set(listed.filter((run) => !run.earlier_in).sort((a, b) => rank(a) - rank(b))
    .slice(0, SHOWN_AT_FIRST));
  const isChecked = (run) => Object.hasOwn(checked, run.name)
    ? checked[run.name] : atFirst.has(run);
  const alone = runs.filter((run) => run.name === solo);
  return {listed, shown: alone.length ? alone : listed.filter(isChecked),
    error};
}

/** Returns the pins after a click on one: the last two that were clicked. */
export function pinned(pins, name) {
  return pins.includes(name) ? pins.filter((pin) => pin !== name)
    : [...pins.slice(-1), name];
}

/**
 * Returns which blocks are open after a click on one.
 * @param {string[]} unfolded
 * @param {?string} block null opens all, or folds them if any is open
 * @param {string[]} all names of blocks
 */
export function folded(unfolded, block, all) {
  if (block === null) return unfolded.length ? [] : [...new Set(all)];
  return unfolded.includes(block) ? unfolded.filter((open) => open !== block)
    : [...unfolded, block];
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
