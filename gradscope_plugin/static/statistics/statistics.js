/** What gradscope declares of each statistic, as `statistics.json` has it. */

/**
 * `scale` is log where only the order of magnitude says something, `domain` its
 * ends, and `ends` says in words what they mean. `center` makes the colours
 * diverge. `optional` says why a run may have no such number at all, `rows` that
 * its rows are others than those chosen, `of` which kinds of layers with a
 * state have it. `marksDead` says that dead units are marked, `ofGradient` that
 * it needs a gradient, and `line` in which chart of a layer it is. A statistic
 * without a `group` is no picture of its own: it explains the cells of others.
 * @typedef {{name: string, group?: string, label: string, help: string,
 *     scale: string, domain: number[], ends: string[], center?: number,
 *     rows?: string, optional?: string, of?: string[], marksDead?: boolean,
 *     ofGradient?: boolean, line?: {chart: string, color: number,
 *     band?: {low: number, high: number, text: string}}}} Statistic
 */

const OTHERS = 'Others';

/** @type {Map<string, Statistic>} in the order in which they are offered */
const declared = new Map();

/** Names of the kinds of rows to choose from, as the server knows them. */
export const ROWS = ['layers', 'kernels', 'variables'];

// Where the server lists the statistics of each kind of rows.
const LISTED = ['statistics', 'activation_statistics', 'unit_statistics',
  'state_statistics', 'data_statistics'];

/**
 * Takes over what is declared; called once, before the page is built.
 * @param {Statistic[]} statistics
 */
export function declareAll(statistics) {
  for (const statistic of statistics) declared.set(statistic.name, statistic);
}

/**
 * Returns the description of a statistic; a short one where it is unknown.
 * @return {Statistic}
 */
export function describe(name) {
  const declaration = declared.get(name);
  return declaration?.group ? declaration : {name,
    label: name.replaceAll('_', ' '), help: '', scale: 'log',
    domain: [1e-8, 10], ends: ['small', 'large'],
    ofGradient: name.includes('gradient_')};
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
 * Returns the statistics to choose from in their groups, declared ones first.
 * What is later than this page has a group of its own.
 * @param {string[]} names
 * @return {{name: string, statistics: string[]}[]} without empty groups
 */
export function grouped(names) {
  const groups = new Map();
  const add = (group, name) =>
    groups.set(group, [...groups.get(group) ?? [], name]);
  for (const {name, group} of declared.values()) {
    if (group && names.includes(name)) add(group, name);
  }
  for (const name of new Set(names)) {
    if (!declared.has(name)) add(OTHERS, name);
  }
  return [...groups].map(([name, statistics]) => ({name, statistics}));
}

/** Returns the name of a statistic's group. */
export function groupOf(statistic) {
  return describe(statistic).group ?? OTHERS;
}

/** Returns the statistics that a chart of a layer shows, by their colours. */
export function linesOf(chart) {
  return [...declared.values()].filter(({line}) => line?.chart === chart)
    .sort((a, b) => a.line.color - b.line.color);
}
