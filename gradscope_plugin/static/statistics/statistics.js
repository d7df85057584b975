/**
 * What the page knows about each statistic.
 *
 * `scale` is log where only the order of magnitude says something, `domain` its
 * default ends. They are fixed, so that a colour means the same number today
 * and tomorrow, in this run and in that. `center` makes the colours diverge.
 * `optional` says why a run may have no such number at all, `rows` that its
 * rows are others than those chosen. `ends` says in words what a very small and
 * a very large value mean, `marksDead` that dead units are marked, `of` the
 * kinds of layers with a state that have such a number.
 */

import {log} from './entries.js';
import {ACTIVATIONS, DATA, STATES, UNITS} from './of_forward_pass.js';
import {GRADIENTS, WEIGHTS} from './of_variables.js';

const GROUPS = {
  'Gradients': GRADIENTS,
  'Weights and updates': WEIGHTS,
  'Activations': ACTIVATIONS,
  'Units': UNITS,
  'Dropout and batch norm': STATES,
  'Data': DATA,
};
const OTHERS = 'Others';

export const STATISTICS = Object.assign({}, ...Object.values(GROUPS));

// These are no pictures of their own: they explain the cells of others.
const EXPLAINING = ['gradient_missing', 'unit_dead', 'unit_last_fired'];

/** Names of the kinds of rows to choose from, as the server knows them. */
export const ROWS = ['layers', 'kernels', 'variables'];

// Where the server lists the statistics of each kind of rows.
const LISTED = ['statistics', 'activation_statistics', 'unit_statistics',
  'state_statistics', 'data_statistics'];

/** Returns the entry of a statistic, a plain one for those of later files. */
export function describe(name) {
  return STATISTICS[name] ?? log(name.replaceAll('_', ' '), [1e-8, 10], '');
}

/** Returns the statistics that a run has, of all kinds of rows. */
export function statisticsOf(run) {
  const names = LISTED.flatMap((key) => run[key] ?? []);
  return names.filter((name) => {
    const kinds = describe(name).of;
    return !kinds || run.states.some(({kind}) => kinds.includes(kind));
  });
}

/**
 * Returns the statistics to choose from in their groups, those of the tables
 * first. What is later than this page has a group of its own.
 * @param {string[]} names
 * @return {{name: string, statistics: string[]}[]} without empty groups
 */
export function grouped(names) {
  const groups = Object.entries(GROUPS).map(([name, table]) =>
    ({name, statistics: Object.keys(table).filter((n) => names.includes(n))}));
  const others = [...new Set(names)].filter((name) =>
    !STATISTICS[name] && !EXPLAINING.includes(name));
  return [...groups, {name: OTHERS, statistics: others}]
    .filter(({statistics}) => statistics.length);
}

/** Returns the name of a statistic's group. */
export function groupOf(statistic) {
  return Object.keys(GROUPS).find((name) =>
    Object.hasOwn(GROUPS[name], statistic)) ?? OTHERS;
}
