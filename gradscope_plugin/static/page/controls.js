/** The page around the heatmaps: choices, status, empty states. */

import {copyable} from '../findings/code.js';
import {counted} from '../findings/text.js';
import {element, keyed} from '../basics/dom.js';
import {duration} from '../basics/format.js';
import {ROWS, describe, groupOf} from '../statistics/statistics.js';

const ROW_HELP = {
  layers: 'one row per layer: all its variables together',
  kernels: 'one row per variable of two or more dimensions',
  variables: 'one row per variable',
};

// A run whose last step is younger is being trained, in s.
const LIVE = 60;

/**
 * Returns how old what is shown is, and what became of the recorded steps of
 * some runs, in sentences.
 * @param {Object[]} shown
 * @param {number} updated when the server answered last, in ms; 0 is never
 * @param {string} failure why it does not answer now
 * @return {string[]}
 */
export function statusLines(shown, updated, failure) {
  const runs = shown.filter((run) => !run.error);
  const age = duration((Date.now() - updated) / 1000);
  const last = Math.max(...runs.map((run) => run.last_wall_time));
  const lag = Date.now() / 1000 - last;
  return [
    ...(runs.length ? keptLines(runs) : []),
    ...(updated ? [`updated ${age} ago`] : []),
    ...(failure && updated ? ['TensorBoard does not answer; trying again']
      : lag < LIVE ? [`live: last step ${duration(lag)} ago`] : []),
  ];
}

function keptLines(runs) {
  const kept = runs.reduce((sum, run) => sum + run.steps, 0);
  const recorded = runs.reduce(
    (sum, run) => sum + Math.max(run.steps, run.recorded ?? 0), 0);
  const dropped = runs.reduce((sum, run) => sum + (run.dropped ?? 0), 0);
  const lines = [`${kept} of ${recorded} recorded steps shown`];
  if (runs.some((run) => run.steps >= run.readable)) {
    lines.push('with so many rows, no more steps can be read at once; gradscope '
      + 'export and gradscope diagnose read all');
  } else if (kept < recorded) {
    lines.push('TensorBoard sampled the others away: '
      + 'tensorboard --samples_per_plugin=gradscope=0 keeps all');
  }
  if (dropped) lines.push(`${counted(dropped, 'record')} lost during training`);
  const skipped = runs.reduce((sum, run) => sum + (run.skipped ?? 0), 0);
  if (skipped) lines.push(`${counted(skipped, 'step')} skipped by the loss scale`);
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
    (part, i) => part.node.setAttribute('aria-pressed',
      String(names[i] === chosen)))};
}

/** The buttons that carry the view away. */
export function createShare({onLink, onPicture}) {
  const link = copyable('copy link', 'Copy link that restores this view',
    onLink);
  const picture = element('button', {type: 'button', onclick: onPicture,
    title: 'Save a picture of this view'}, 'PNG of all');
  return element('div', {className: 'share tools'}, link, picture);
}

/** What is shown where there is no heatmap. */
export function createNotice() {
  const node = element('div', {className: 'notice', role: 'status'});
  return {
    node,

    /** @param {?{title: string, lines?: string[], code?: string}} notice */
    update(notice) {
      node.hidden = !notice;
      if (!notice) return;
      const {title, lines = [], code} = notice;
      node.replaceChildren(element('h2', {}, title),
        ...lines.map((line) => element('p', {}, line)));
      if (code) {
        node.append(element('pre', {}, element('code', {}, code)),
          copyable('copy', 'Copy these lines', () => code));
      }
    },
  };
}
