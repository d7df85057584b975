/** The parts of the page, and what they do. */

import {createCards} from './cards.js';
import {saveGrid, savePage, sharedLink} from '../saving/save.js';
import {COMPARED, Comparison} from '../comparison/comparison.js';
import {Detail} from '../layer/detail.js';
import {element} from '../basics/dom.js';
import {Findings} from '../findings/findings.js';
import {Heatmaps} from '../heatmap/heatmaps.js';
import {createLegend} from '../heatmap/legend.js';
import {createReadout} from '../heatmap/readout.js';
import {DEFAULTS, statisticIn} from './view_state.js';
import {Strip} from '../strip/strip.js';
import {WHOLE} from '../scales/viewport.js';
import {createChoices} from './statistic_choices.js';
import {createNotice} from './notice.js';
import {createShare} from './share_buttons.js';

/** @param {Object} actions see `Page` */
export function buildParts(actions) {
  const {set, view, choose, colorOf} = actions;
  const cards = createCards({
    onFilter: (filter) => set({filter}),
    onCheck: (name, checked) => set({solo: null,
      checked: {...view().checked, [name]: checked}}),
    onOpen: actions.onOpenRun,
    onAll: () => set({solo: null, comparing: false}),
    onPin: actions.onPin,
    onCompare: () => set({comparing: !view().comparing, solo: null}),
    onSeen: (node, name) => actions.onSeen(node, `card ${name}`),
  });
  const choices = createChoices({
    onGroup: (group) => choose(statisticIn(view(), group)),
    onStatistic: choose,
    onRows: (rows) => set({rows}),
    onAxis: (axis) => set({axis}),
  });
  const legend = createLegend({onDomain: actions.onDomain,
    onReset: () => actions.onDomain(undefined), onFit: actions.onFit,
    onFix: actions.onFix});
  const findings = new Findings({colorOf, onChange: actions.draw,
    onFold: (folded) => set({folded}),
    onShowRun: actions.onShowRun,
    onLayer: actions.onLayer,
    onStatistic: (name) => {
      actions.onZoom(WHOLE);
      if (name) choose(name);
      else actions.draw();
    }});
  const strip = new Strip({onStep: actions.onStep, onZoom: actions.onZoom,
    onMetric: (metric) => set({metric}),
    onFoldStrip: (stripFolded) => set({stripFolded}),
    onFinding: (run, key) => findings.go(run, key)});
  const detail = new Detail({get: actions.get, colorOf,
    onClose: actions.onClose});
  return {cards, choices, legend, findings, detail, strip,
    ...layOut({...ofHeatmaps(actions), cards, choices, legend, findings, strip},
      actions)};
}

function ofHeatmaps(actions) {
  const {set, view, gridOf, labelOf, statistic} = actions;
  const ofCells = {
    ...actions,
    onPng: (node, name) => savePage(node, [labelOf(name), statistic()]),
    onCsv: (name) => saveGrid(gridOf(name),
      [labelOf(name), statistic(), view().rows]),
    onDomain: (domain) => set(
      {domains: {...view().domains, [COMPARED]: domain}}),
  };
  return {heatmaps: new Heatmaps(ofCells), comparison: new Comparison(ofCells)};
}

/** Puts the parts in their places. */
function layOut({cards, choices, legend, findings, strip, heatmaps, comparison},
    {view, statistic}) {
  const readout = createReadout();
  const notice = createNotice();
  const banner = element('p', {className: 'banner', role: 'status',
    hidden: true});
  const share = createShare({
    onLink: () => sharedLink(view(), DEFAULTS),
    onPicture: () => savePage(main, [statistic()]),
  });
  const header = element('header', {}, share, choices.node,
    element('div', {className: 'legend-line'}, legend.node, readout.node));
  const main = element('main', {}, findings.node, header, banner, notice.node,
    strip.node, comparison.node, heatmaps.node);
  return {heatmaps, comparison, readout, notice, banner, header,
    page: element('div', {className: 'page'}, cards.node, main)};
}
