/** Outlines over a heatmap: which cells the findings are about. */

import {element} from '../basics/dom.js';
import {heightOf, topOf} from './row_places.js';

/** `node` lies over the cells; `update` draws what is marked. */
export function createOverlay() {
  const node = element('div', {className: 'marks', 'aria-hidden': 'true'});
  let drawn = '';
  return {
    node,

    /**
     * @param {{cells: Object, severity: string, isChosen: boolean}[]} marks
     * @param {import('./row_places.js').Placed} placed
     * @param {{span: number[], places: ArrayLike<number>, heights: number[],
     *     size: number}} view
     */
    update(marks, placed, view) {
      const boxes = marks.flatMap(({cells, severity, isChosen}) => {
        const box = boxOf(cells, placed, view);
        return box ? [{...box, severity, isChosen}] : [];
      });
      const now = JSON.stringify(boxes);
      if (now === drawn) return;
      drawn = now;
      node.replaceChildren(...boxes.map(outline));
    },

    /**
     * Brings what was chosen, or else all of the heatmap, into sight.
     * @param {number} hidden height of what hides the page's top
     */
    reveal(hidden) {
      const target = node.querySelector('.chosen') ?? node;
      target.style.scrollMargin = `${hidden + 40}px 0 60px`;
      target.scrollIntoView({block: 'nearest'});
    },
  };
}

/** Returns where some cells are, cut to what is seen; null if they are not. */
export function boxOf({from, to, first, last}, placed,
    {span, places, heights, size}) {
  const zoom = size / (heights[1] - heights[0]);
  const y = (height) => (height - heights[0]) * zoom;
  const top = Math.max(0, y(topOf(placed, from)));
  const bottom = Math.min(size,
    y(topOf(placed, to - 1) + heightOf(placed, to - 1)));
  const x = (column) =>
    100 * (places[column] - span[0]) / (span[1] - span[0]);
  const left = Math.max(0, x(first));
  const right = Math.min(100, x(last + 1));
  return bottom > top && right > left
    ? {top, height: bottom - top, left, width: right - left} : null;
}

function outline({top, height, left, width, severity, isChosen}) {
  const node = element('i', {
    className: `mark ${severity}${isChosen ? ' chosen' : ''}`});
  Object.assign(node.style, {top: `${top}px`, height: `${height}px`,
    left: `${left}%`, width: `${width}%`});
  return node;
}
