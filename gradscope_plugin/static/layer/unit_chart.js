/** Units of one activation by steps: which are dead, and since when. */

import {columnOf} from '../scales/axis.js';
import {makeAxis} from '../scales/step_axis.js';
import {saveLines} from '../saving/save.js';
import {DEAD, KIND_NAMES, NUMBER} from '../data/cell_kinds.js';
import {lookOf} from '../scales/colormap.js';
import {gridLines} from '../saving/csv.js';
import {element} from '../basics/dom.js';
import {contextOf, createFigure, drawXAxis, drawYAxis, placeLine}
  from './figure.js';
import {exact} from '../basics/format.js';
import {theme} from '../basics/tensorboard.js';
import {entriesOf} from '../heatmap/cell_entries.js';
import {paint, tableOf} from '../heatmap/raster.js';
import {makeScale} from '../scales/scale.js';
import {describe} from '../statistics/statistics.js';
import {byLastActivity, reordered} from './unit_order.js';
import {deadIn, silenceText} from '../data/dead_units.js';

const ACTIVITY = 'unit_activity';

/** @param {{title: string, nameOf: () => string[]}} options */
export function createUnitChart(options) {
  let grid = null;
  let order = [];
  let look;
  let isSorted = true;
  const sort = element('button', {type: 'button', 'aria-pressed': 'true',
    title: 'Put the units that fell silent first at the top',
    onclick: () => {
      isSorted = !isSorted;
      sort.setAttribute('aria-pressed', String(isSorted));
      draw();
    }}, 'by last activity');
  const dom = createFigure({...options, label: options.title, extra: [sort],
    onCsv: () => grid && saveLines(gridLines(grid), options.nameOf())});
  function draw() {
    if (!grid?.columns) return;
    order = isSorted ? byLastActivity(grid, grid.silence)
      : grid.named.map((_, row) => row);
    const activity = describe(ACTIVITY);
    look = lookOf(makeScale(activity), activity, theme(), look);
    drawUnits(dom, grid, order, look);
  }
  new ResizeObserver(draw).observe(dom.area);
  dom.area.addEventListener('pointermove', (event) => {
    if (!grid?.columns) return;
    const box = dom.area.getBoundingClientRect();
    const at = (offset, size, count) => Math.max(0, Math.min(count - 1,
      Math.floor(offset / size * count)));
    const row = order[at(event.clientY - box.top, box.height, grid.rows)];
    const column = at(event.clientX - box.left, box.width, grid.columns);
    dom.atCursor.textContent = cellText(grid, row, column);
  });
  return {
    node: dom.node,

    /** Shows a grid of units; what is known of their silence comes later. */
    async update(now) {
      dom.node.hidden = !now?.rows;
      if (!now?.rows || now === grid) return;
      grid = now;
      const deadUnits = deadIn(grid);
      dom.note.textContent = deadUnits ? deadUnits.text : 'cannot die';
      dom.area.setAttribute('aria-label',
        `${options.title}: ${dom.note.textContent}`);
      draw();
      await grid.learn?.();
      if (now === grid) draw();
    },
    drawCursor(cursor) {
      if (!grid?.columns) return;
      const isThere = cursor && cursor.step >= grid.steps[0];
      const column = isThere ? columnOf(grid.steps, cursor.step) : 0;
      placeLine(dom.line, isThere ? [column, column + 1] : null,
        [0, grid.columns]);
    },
  };
}

function drawUnits(dom, grid, order, look) {
  const {context, width, height, density} = contextOf(dom.canvas);
  if (!width || !height) return;
  look.table ??= tableOf(look);
  const shown = reordered(grid, order);
  const image = context.createImageData(dom.canvas.width, dom.canvas.height);
  const placed = {height: 1, total: grid.rows,
    blocks: [{from: 0, to: grid.rows, top: 0}]};
  paint(new Uint32Array(image.data.buffer), {
    entries: entriesOf(shown, look.position), columns: grid.columns, placed,
    table: look.table, span: [0, grid.columns], heights: [0, grid.rows],
    width: image.width, height: image.height, density, gap: 0});
  context.putImageData(image, 0, 0);
  drawLastActivity(context, grid, order, {width, height,
    color: getComputedStyle(dom.area).getPropertyValue('--accent')});
  drawYAxis(dom.yAxis, [{text: order.length > 1 ? grid.named[order[0]].label
    : '', share: 0.02}, {text: grid.named[order.at(-1)].label, share: 0.98}]);
  drawXAxis(dom.xAxis, makeAxis('columns', [grid.steps]), [0, grid.columns],
    width);
}

/** Marks where each unit that is dead now was above zero for the last time. */
function drawLastActivity(context, grid, order, {width, height, color}) {
  if (!grid.silence) return;
  const {rows, columns, kinds, steps, silence} = grid;
  context.fillStyle = color;
  const line = height / rows;
  order.forEach((row, place) => {
    const end = (row + 1) * columns - 1;
    const fired = silence.fired[end];
    if (kinds[end] !== DEAD || Number.isNaN(fired) || fired < steps[0]) return;
    const x = (columnOf(steps, fired) + 0.5) / columns * width;
    context.fillRect(x - 1.5, place * line, 3, Math.max(2, line));
  });
}

function cellText(grid, row, column) {
  const cell = row * grid.columns + column;
  const kind = grid.kinds[cell];
  const value = kind === NUMBER ? exact(grid.values[cell]) : KIND_NAMES[kind];
  const since = grid.silence ? silenceText(grid.named[row],
    grid.silence.idle[cell], grid.silence.fired[cell]) : '';
  return `step ${grid.steps[column]}: unit ${grid.named[row].label}: ${value}`
    + (since ? `, ${since}` : '');
}
