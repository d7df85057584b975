/** The choices above the heatmaps: a group, a statistic of it, rows, steps. */

import {element, keyed} from '../basics/dom.js';
import {KINDS} from '../scales/step_axis.js';
import {ROWS, describe, groupOf} from '../statistics/statistics.js';

const ROW_HELP = {
  layers: 'one row per layer: all its variables together',
  kernels: 'one row per variable of two or more dimensions',
  variables: 'one row per variable',
};

const AXIS_HELP = {
  linear: 'steps are as far apart as they are',
  columns: 'one column per recorded step',
};

export function createChoices({onGroup, onStatistic, onRows, onAxis}) {
  let groups = [];
  const names = group('Group of statistics',
    (name) => onGroup(groups.find((item) => item.name === name)),
    (label) => ({label, help: ''}));
  names.node.classList.add('groups');
  const statistics = group('Statistic', onStatistic, (name) => describe(name));
  const rows = group('Rows', onRows,
    (name) => ({label: name, help: ROW_HELP[name]}));
  const axes = group('Steps', onAxis,
    (name) => ({label: name, help: AXIS_HELP[name]}));
  const rowsBar = element('div', {className: 'rows'}, 'rows', rows.node);
  const axisBar = element('div', {className: 'rows'}, 'steps', axes.node);
  return {
    node: element('div', {}, names.node,
      element('div', {className: 'bar'}, statistics.node,
        element('div', {className: 'bar-end'}, rowsBar, axisBar))),
    update(now) {
      ({groups} = now);
      const current = groupOf(now.statistic);
      names.update(groups.map(({name}) => name), current);
      statistics.node.setAttribute('aria-label', `Statistic: ${current}`);
      statistics.update(
        groups.find(({name}) => name === current)?.statistics ?? [],
        now.statistic);
      rows.update(ROWS, now.rows);
      axes.update(KINDS, now.axis);
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
  return {node, update: (names, current) => updateButtons(names).forEach(
    (part, i) => part.node.setAttribute('aria-pressed',
      String(names[i] === current)))};
}
