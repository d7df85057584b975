/** What all charts of a layer have: title, axes, tools, room for a canvas. */

import {tickColumns} from '../scales/axis.js';
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
    told: element('p', {className: 'at-cursor'}),
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
    dom.told);
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
 * Labels the steps of the columns that are seen.
 * @param {HTMLElement} axis
 * @param {Float64Array} steps
 * @param {number[]} seen
 * @param {number} width
 */
export function drawXAxis(axis, steps, [from, to], width) {
  const first = Math.floor(from);
  const part = steps.slice(first, Math.ceil(to));
  const nodes = tickColumns(part, width, 70).map((column, index, all) => {
    const node = element('span', {}, String(part[column]));
    const place = (first + column + 0.5 - from) / (to - from);
    node.style.left = `${100 * place}%`;
    if (!index) node.classList.add('first');
    else if (index === all.length - 1) node.classList.add('last');
    return node;
  });
  axis.replaceChildren(...nodes);
}

/**
 * Shows the cursor's column, if it is seen.
 * @param {HTMLElement} line
 * @param {?number} column
 * @param {number[]} seen
 */
export function placeLine(line, column, [from, to]) {
  line.hidden = column === null || column + 1 <= from || column >= to;
  if (line.hidden) return;
  line.style.left = `${100 * (column - from) / (to - from)}%`;
  line.style.width = `${100 / (to - from)}%`;
}
