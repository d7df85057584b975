/** A run's small heatmap. */

import {element} from '../basics/dom.js';
import {entriesOf} from '../heatmap/cell_entries.js';
import {paint, tableOf} from '../heatmap/raster.js';

// In pixels of the page.
const WIDTH = 64;
const HEIGHT = 18;

const TITLE = 'gradient norm of each layer over all steps, input at the top';

/** `node` goes into a card; `update` draws a grid, if it is another one. */
export function createThumbnail() {
  const node = element('canvas', {className: 'thumbnail', title: TITLE,
    width: WIDTH, height: HEIGHT, 'aria-hidden': 'true'});
  let drawn = [];
  return {
    node,
    update(grid, look) {
      if (!grid?.rows || (drawn[0] === grid && drawn[1] === look)) return;
      drawn = [grid, look];
      look.table ??= tableOf(look);
      const context = node.getContext('2d');
      const image = context.createImageData(WIDTH, HEIGHT);
      const placed = {height: 1, total: grid.rows,
        blocks: [{from: 0, to: grid.rows, top: 0}]};
      paint(new Uint32Array(image.data.buffer), {
        entries: entriesOf(grid, look.position), columns: grid.columns, placed,
        table: look.table, span: [0, grid.columns], heights: [0, grid.rows],
        width: WIDTH, height: HEIGHT, density: 1, gap: 0,
        sizes: grid.named.map(({size = 0}) => size)});
      context.putImageData(image, 0, 0);
      node.classList.add('drawn');
    },
  };
}
