/** The page around the heatmaps: run list, choices, empty states. */

import {element, keyed} from './dom.js';
import {duration, runLabel} from './format.js';
import {ROWS, describe, groupOf} from './statistics.js';

const ROW_HELP = {
  layers: 'one row a layer: its variables put together',
  kernels: 'one row a variable of two dimensions or more',
  variables: 'one row a variable',
};

/** The left column: filter, runs with checkboxes, what was kept. */
export function createRunList({onFilter, onCheck, colorOf}) {
  const filter = element('input', {type: 'search', spellcheck: false,
    placeholder: 'filter, a regular expression',
    'aria-label': 'Filter runs by a regular expression',
    'aria-describedby': 'filter-error',
    oninput: () => onFilter(filter.value)});
  const error = element('p', {id: 'filter-error', className: 'error',
    role: 'status'});
  const list = element('ul');
  const status = element('footer');
  const updateItems = keyed(list, (run) => run.name,
    (run) => runItem(run, onCheck, colorOf));
  return {
    node: element('aside', {className: 'runs', 'aria-label': 'Runs'},
      element('h1', {}, 'Runs'), filter, error, list, status),
    update({listed, shown, problem, text, lines}) {
      if (filter !== document.activeElement) filter.value = text;
      filter.setAttribute('aria-invalid', Boolean(problem));
      error.textContent = problem;
      updateItems(listed).forEach((item, index) =>
        item.update(listed[index], shown.includes(listed[index])));
      status.replaceChildren(...lines.map((line) => element('p', {}, line)));
    },
  };
}

/* <li><label><input type="checkbox"><span class="dot"></span>
 *   <span>name</span><small>85 steps</small></label></li> */
function runItem(run, onCheck, colorOf) {
  const box = element('input', {type: 'checkbox',
    onchange: () => onCheck(run.name, box.checked)});
  const dot = element('span', {className: 'dot'});
  dot.style.background = colorOf(run.name);
  const detail = element('small');
  const name = element('span', {className: 'name', title: run.name},
    runLabel(run.name));
  return {
    node: element('li', {}, element('label', {}, box, dot, name, detail)),
    update(now, checked) {
      box.checked = checked;
      detail.textContent = now.error ? 'cannot be read' : summary(now);
      detail.classList.toggle('error', Boolean(now.error));
    },
  };
}

function summary({steps, last_wall_time: wallTime}) {
  const age = duration(Date.now() / 1000 - wallTime);
  return `${steps} step${steps === 1 ? '' : 's'} · last ${age} ago`;
}

/** Returns what became of the recorded steps of some runs, in sentences. */
export function statusLines(shown, updated) {
  const runs = shown.filter((run) => !run.error);
  const age = duration((Date.now() - updated) / 1000);
  return [
    ...(runs.length ? keptLines(runs) : []),
    ...(updated ? [`updated ${age} ago`] : []),
  ];
}

function keptLines(runs) {
  const kept = runs.reduce((sum, run) => sum + run.steps, 0);
  const recorded = runs.reduce(
    (sum, run) => sum + Math.max(run.steps, run.recorded ?? 0), 0);
  const dropped = runs.reduce((sum, run) => sum + (run.dropped ?? 0), 0);
  const lines = [`${kept} of ${recorded} recorded steps shown`];
  if (kept < recorded) {
    lines.push('tensorboard --samples_per_plugin=gradscope=0 keeps all');
  }
  if (dropped) lines.push(`${dropped} records were lost while training`);
  const skipped = runs.reduce((sum, run) => sum + (run.skipped ?? 0), 0);
  if (skipped) lines.push(`${skipped} steps skipped by the loss scale`);
  return lines;
}

/** The choices above the heatmaps: a group, a statistic of it, and rows. */
export function createChoices({onGroup, onStatistic, onRows}) {
  let groups = [];
  const names = group('Group of statistics',
    (name) => onGroup(groups.find((one) => one.name === name)),
    (label) => ({label, help: ''}));
  names.node.classList.add('groups');
  const statistics = group('Statistic', onStatistic, (name) => describe(name));
  const rows = group('Rows', onRows,
    (name) => ({label: name, help: ROW_HELP[name]}));
  const rowsBar = element('div', {className: 'rows'}, 'rows', rows.node);
  return {
    node: element('div', {}, names.node,
      element('div', {className: 'bar'}, statistics.node, rowsBar)),
    update(now) {
      ({groups} = now);
      const chosen = groupOf(now.statistic);
      names.update(groups.map(({name}) => name), chosen);
      statistics.node.setAttribute('aria-label', `Statistic: ${chosen}`);
      statistics.update(
        groups.find(({name}) => name === chosen)?.statistics ?? [],
        now.statistic);
      rows.update(ROWS, now.rows);
      // Activations and others have rows of their own, and none to choose.
      rowsBar.hidden = Boolean(describe(now.statistic).rows);
    },
  };
}

/** A group of buttons, of which one is pressed. */
function group(label, onChoose, describeName) {
  const node = element('div', {className: 'choices', role: 'group',
    'aria-label': label});
  const updateButtons = keyed(node, (name) => name, (name) => {
    const {label: text, help} = describeName(name);
    return {node: element('button', {type: 'button', title: help,
      onclick: () => onChoose(name)}, text)};
  });
  return {node, update: (names, chosen) => updateButtons(names).forEach(
    (part, i) => part.node.setAttribute('aria-pressed', names[i] === chosen))};
}

/** What is shown where there is no heatmap. */
export function createNotice() {
  const node = element('div', {className: 'notice', role: 'status'});
  return {
    node,

    /** @param {?{title: string, lines: string[], code: string}} notice */
    update(notice) {
      node.hidden = !notice;
      if (!notice) return;
      const {title, lines = [], code} = notice;
      node.replaceChildren(element('h2', {}, title),
        ...lines.map((line) => element('p', {}, line)));
      if (code) node.append(element('pre', {}, element('code', {}, code)));
    },
  };
}
