/** What all charts of a layer have: title, axes, tools, room for a canvas. */

import {middleOf, ticksOf} from '../scales/step_axis.js';
import {savePage} from '../saving/save.js';
import {element} from '../basics/dom.js';

/*
 * <figure class="chart"><figcaption><b>title</b> <small>note</small>
 *   <span class="keys">…</span><div class="tools">PNG CSV</div></figcaption>
 *   <div class="frame"><div class="y-axis"/><div class="area"><canvas/></div>
 *   <div class="x-axis"/></div><p class="at-cursor"></p></figure>
 */
export function createFigure({title, note = '', label, nameOf, onCsv,
  extra = []}) {
  const canvas = element('canvas', {'aria-hidden': 'true'});
  const line = element('i', {className: 'line', hidden: true});
  const dom = {
    canvas, line,
    keys: element('span', {className: 'keys'}),
    note: element('small', {}, note),
    area: element('div', {className: 'area', role: 'img',
      'aria-label': label}, canvas, line),
    yAxis: element('div', {className: 'y-axis', 'aria-hidden': 'true'}),
    xAxis: element('div', {className: 'x-axis', 'aria-hidden': 'true'}),
    atCursor: element('p', {className: 'at-cursor'}),
  };
  const png = element('button', {type: 'button',
    'aria-label': `PNG of ${title}`,
    onclick: () => savePage(dom.node, nameOf())}, 'PNG');
  const csv = element('button', {type: 'button',
    'aria-label': `CSV of ${title}`,
    onclick: onCsv}, 'CSV');
  dom.node = element('figure', {className: 'chart'},
    element('figcaption', {}, element('b', {}, title), ' ', dom.note, dom.keys,
      element('span', {className: 'tools'}, ...extra, png, csv)),
    element('div', {className: 'frame'}, dom.yAxis, dom.area, dom.xAxis),
    dom.atCursor);
  return dom;
}

/** Sizes a canvas to its place; returns its context, in pixels of the page. */
export function contextOf(canvas) {
  const {clientWidth: width, clientHeight: height} = canvas.parentElement;
  const density = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * density);
  canvas.height = Math.round(height * density);
  const context = canvas.getContext('2d');
  context.setTransform(density, 0, 0, density, 0, 0);
  return {context, width, height, density};
}

/** Labels heights of a chart, as shares from the top. */
export function drawYAxis(axis, labels) {
  axis.replaceChildren(...labels.map(({text, share}) => {
    const node = element('span', {}, text);
    node.style.top = `${100 * share}%`;
    return node;
  }));
}

/**
 * Labels the steps that are seen.
 * @param {HTMLElement} node
 * @param {import('../scales/step_axis.js').StepAxis} axis
 * @param {number[]} span places
 * @param {number} width
 */
export function drawXAxis(node, axis, [from, to], width) {
  const nodes = ticksOf(axis, [from, to], width, 70).map((step, index, all) => {
    const label = element('span', {}, String(step));
    label.style.left = `${100 * (middleOf(axis, step) - from) / (to - from)}%`;
    if (!index) label.classList.add('first');
    else if (index === all.length - 1) label.classList.add('last');
    return label;
  });
  node.replaceChildren(...nodes);
}

/**
 * Shows the cursor's column, if it is seen.
 * @param {HTMLElement} line
 * @param {?number[]} column where it begins and ends
 * @param {number[]} span
 */
export function placeLine(line, column, [from, to]) {
  line.hidden = !column || column[1] <= from || column[0] >= to;
  if (line.hidden) return;
  const [left, right] = column;
  line.style.left = `${100 * (left - from) / (to - from)}%`;
  line.style.width = `${100 * (right - left) / (to - from)}%`;
}
