/** Outlines over a heatmap: which cells the findings are about. */

import {element} from './dom.js';
import {topOf} from './places.js';

/** `node` lies over the cells; `update` draws what is marked. */
export function createOverlay() {
  const node = element('div', {className: 'marks', 'aria-hidden': 'true'});
  let drawn = '';
  return {
    node,

    /**
     * @param {{cells: Object, severity: string, isChosen: boolean}[]} marks
     * @param {number} columns of the grid
     * @param {Object} placed see `placeRows`
     */
    update(marks, columns, placed) {
      const boxes = marks.map(({cells, severity, isChosen}) =>
        ({...boxOf(cells, columns, placed), severity, isChosen}));
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
      const chosen = node.querySelector('.chosen') ?? node;
      chosen.style.scrollMargin = `${hidden + 40}px 0 60px`;
      chosen.scrollIntoView({block: 'nearest'});
    },
  };
}

function boxOf({from, to, first, last}, columns, placed) {
  const top = topOf(placed, from);
  const height = topOf(placed, to - 1) + placed.height - top;
  return {top, height, left: 100 * first / columns,
    width: 100 * (last + 1 - first) / columns};
}

function outline({top, height, left, width, severity, isChosen}) {
  const node = element('i', {
    className: `mark ${severity}${isChosen ? ' chosen' : ''}`});
  Object.assign(node.style, {top: `${top}px`, height: `${height}px`,
    left: `${left}%`, width: `${width}%`});
  return node;
}
