/** The page: wires the choices, the requests and the heatmaps together. */

import {KIND_NAMES, NUMBER, outside} from './cells.js';
import {MARKS, SEQUENTIAL, TWO_SIDED} from './colormap.js';
import {element, keyed} from './dom.js';
import {duration, exact, runLabel} from './format.js';
import {createHeatmap} from './heatmap_view.js';
import {followReloads, followTheme, theme} from './host.js';
import {createLegend} from './legend.js';
import {createModel} from './model.js';
import {NOTICES, captionOf, messageOf} from './notices.js';
import {fitDomain, makeScale} from './scale.js';
import {chooseRuns, createState} from './state.js';
import {describe, ordered} from './statistics.js';
import {columnOf} from './axis.js';
import * as views from './views.js';

/** Called by TensorBoard once the page's frame is loaded. */
export async function render() {
  await stylesheet();
  const page = createPage();
  document.body.append(page.node);
  followTheme(page.draw);
  followReloads(page.reload);
  setInterval(page.tick, 1000);
  await page.reload();
}

function stylesheet() {
  return new Promise((resolve) => {
    const href = new URL('./style.css', import.meta.url).href;
    document.head.append(element('link',
      {rel: 'stylesheet', href, onload: resolve, onerror: resolve}));
  });
}

function createPage() {
  const model = createModel();
  const colorOf = views.createColors();
  const state = createState(() => show());
  const {view, set} = {view: state.view, set: (changes) => state.set(changes)};
  // Null until the server has answered for the first time.
  let runs = null;
  let failure = null;
  let cursor = null;
  let updated = 0;
  // What is on the screen: `{grid, error}` of each run shown.
  let results = new Map();

  const setDomain = (domain) => set(
    {domains: {...view.domains, [view.statistic]: domain}});
  const list = views.createRunList({
    colorOf,
    onFilter: (filter) => set({filter}),
    onCheck: (name, checked) =>
      set({checked: {...view.checked, [name]: checked}}),
  });
  const choices = views.createChoices({
    onStatistic: (statistic) => set({statistic}),
    onRows: (rows) => set({rows}),
  });
  const legend = createLegend({
    onDomain: setDomain,
    onReset: () => setDomain(undefined),
    onFit: () => {
      const arrays = grids().map((grid) => grid.values);
      const domain = fitDomain(arrays, describe(view.statistic).scale);
      if (domain) setDomain(domain);
    },
  });
  const readout = views.createReadout();
  const notice = views.createNotice();
  const heatmaps = element('div', {className: 'heatmaps'});
  const header = element('header', {}, choices.node, legend.node, readout.node);
  const updateHeatmaps = keyed(heatmaps, (run) => run.name,
    () => createHeatmap(moveCursor));

  const chosenRuns = () => chooseRuns(runs ?? [], view, runLabel);
  const grids = () => [...results.values()].flatMap(({grid}) => grid ?? []);

  async function reload() {
    try {
      const reply = await model.runs();
      if (!reply) return;
      runs = reply;
      runs.forEach((run) => colorOf(run.name));
      failure = null;
      updated = Date.now();
    } catch (error) {
      failure = error.message;
    }
    await show();
  }

  /** Fetches what the view needs; what is on the screen stays until then. */
  async function show() {
    const {shown} = chosenRuns();
    const names = new Set(shown.map((run) => run.name));
    const {statistic, rows} = view;
    results = new Map([...results].filter(([name, result]) => names.has(name)
      && result.statistic === statistic && result.rows === rows));
    for (const run of shown) {
      if (run.error) results.set(run.name, {error: run.error});
    }
    draw();
    const readable = shown.filter((run) => !run.error);
    await model.grids(readable, statistic, rows, (run, grid, error) => {
      results.set(run.name, {statistic, rows, grid, error});
      draw();
    });
  }

  function draw() {
    const {listed, shown, error} = chosenRuns();
    const description = describe(view.statistic);
    const domain = view.domains[view.statistic];
    const scale = makeScale(
      {...description, domain: domain ?? description.domain});
    const look = {
      position: scale.position,
      palette: description.center ? TWO_SIDED : SEQUENTIAL,
      marks: MARKS[theme()],
    };
    notice.update(noticeOf(shown));
    header.hidden = !shown.some((run) => !run.error);
    choices.update({statistic: view.statistic, kind: view.rows,
      names: ordered([...new Set(shown.flatMap((r) => r.statistics ?? []))])});
    legend.update({description, scale, look, isDefault: !domain,
      count: total(grids().map((grid) => outside(grid, scale.domain)))});
    updateHeatmaps(shown).forEach((heatmap, index) => {
      const run = shown[index];
      const {grid, error: problem} = results.get(run.name) ?? {};
      heatmap.update({run, look, grid, cursor, label: runLabel(run.name),
        color: colorOf(run.name), caption: captionOf(description, view.rows),
        message: problem ?? messageOf(grid, view.rows)});
    });
    list.update({listed, shown, problem: error, text: view.filter,
      lines: statusLines(shown)});
    updateReadout(false);
  }

  function noticeOf(shown) {
    if (failure) return {...NOTICES.unreachable, lines: [failure]};
    if (!runs) return NOTICES.loading;
    if (!runs.length) return NOTICES.noRuns;
    return shown.length ? null : NOTICES.noneChosen;
  }

  function statusLines(shown) {
    const readable = shown.filter((run) => !run.error);
    const lines = readable.length ? views.keptLines(readable) : [];
    if (updated) {
      lines.push(`updated ${duration((Date.now() - updated) / 1000)} ago`);
    }
    return lines;
  }

  function moveCursor({run, row, column}, byKey) {
    const {steps} = results.get(run).grid;
    cursor = {run, row, column, step: steps[column]};
    updateHeatmaps(chosenRuns().shown)
      .forEach((heatmap) => heatmap.showCursor(cursor));
    updateReadout(byKey);
  }

  function updateReadout(aloud) {
    const own = cursor && results.get(cursor.run)?.grid;
    const row = own?.named[cursor.row];
    if (!row) return readout.update(null, false);
    const values = chosenRuns().shown.flatMap((run) => {
      const grid = results.get(run.name)?.grid;
      const at = grid?.named.findIndex(({name}) => name === row.name) ?? -1;
      return at < 0 ? [] : {label: runLabel(run.name),
        color: colorOf(run.name), text: valueAt(grid, at, cursor.step)};
    });
    return readout.update({step: cursor.step, row, values}, aloud);
  }

  const tick = () => {
    const {listed, shown, error} = chosenRuns();
    list.update({listed, shown, problem: error, text: view.filter,
      lines: statusLines(shown)});
  };
  const node = element('div', {className: 'page'}, list.node,
    element('main', {}, header, notice.node, heatmaps));
  return {node, draw, reload, tick};
}

/** Returns a cell in words; says so when its step is not quite the cursor's. */
function valueAt(grid, row, step) {
  const column = columnOf(grid.steps, step);
  const cell = row * grid.columns + column;
  const kind = grid.kinds[cell];
  const text = kind === NUMBER ? exact(grid.values[cell]) : KIND_NAMES[kind];
  const found = grid.steps[column];
  return found === step ? text : `${text} (step ${found})`;
}

function total(counts) {
  const sum = {below: 0, above: 0, numbers: 0};
  for (const count of counts) {
    for (const key of Object.keys(sum)) sum[key] += count[key];
  }
  return sum;
}
