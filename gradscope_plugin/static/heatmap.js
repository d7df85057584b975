/** A grid of numbers as pixels: first pure, then onto a canvas. */

import {NAN, NUMBER} from './cells.js';
import {entryOf} from './colormap.js';
import {topOf} from './places.js';

/**
 * Turns a grid into pixels, one per row and bin; the canvas does the enlarging.
 * @param {{rows: number, columns: number, values: Float32Array,
 *     kinds: Uint8Array}} grid row-major
 * @param {{bins: number, source: Int32Array}} chosen see `thin`
 * @param {{position: (value: number) => number, palette: Uint8Array,
 *     marks: Object<number, number[]>}} look
 * @return {Uint8ClampedArray} RGBA, row-major
 */
export function toPixels({rows, columns, values, kinds}, chosen, look) {
  if (values.length !== rows * columns) {
    throw new RangeError(
      `${rows} x ${columns} grid got ${values.length} values`);
  }
  const {bins, source} = chosen;
  const rgba = new Uint8ClampedArray(4 * rows * bins);
  source.forEach((column, pixel) => {
    const cell = Math.floor(pixel / bins) * columns + column;
    const at = 4 * pixel;
    if (kinds[cell] === NUMBER) {
      const entry = 3 * entryOf(look.position(values[cell]));
      rgba[at] = look.palette[entry];
      rgba[at + 1] = look.palette[entry + 1];
      rgba[at + 2] = look.palette[entry + 2];
    } else {
      rgba.set(look.marks[kinds[cell]], at);
    }
    rgba[at + 3] = 255;
  });
  return rgba;
}

/**
 * Returns where a kind is, as rows of neighbours: `{row, from, to}` in bins,
 * `to` excluded. Stripes are drawn over these.
 */
export function spans({rows, columns, kinds}, {bins, source}, kind) {
  const found = [];
  for (let row = 0; row < rows; row++) {
    let from = -1;
    for (let bin = 0; bin <= bins; bin++) {
      const inside = bin < bins
        && kinds[row * columns + source[row * bins + bin]] === kind;
      if (inside && from < 0) from = bin;
      if (!inside && from >= 0) {
        found.push({row, from, to: bin});
        from = -1;
      }
    }
  }
  return found;
}

/**
 * Draws a grid to fill a canvas, with stripes over its NaN cells.
 * @param {{total: number, blocks: Object[]}} placed see `placeRows`
 */
export function drawGrid(canvas, grid, chosen, look, placed) {
  const context = canvas.getContext('2d');
  const small = new OffscreenCanvas(chosen.bins, grid.rows);
  const pixels = toPixels(grid, chosen, look);
  small.getContext('2d').putImageData(
    new ImageData(pixels, chosen.bins, grid.rows), 0, 0);
  context.imageSmoothingEnabled = false;
  const scale = canvas.height / placed.total;
  const rowHeight = placed.height * scale;
  for (const {from, to, top} of placed.blocks) {
    context.drawImage(small, 0, from, chosen.bins, to - from,
      0, top * scale, canvas.width, (to - from) * rowHeight);
  }
  context.fillStyle = stripes(context);
  const width = canvas.width / chosen.bins;
  for (const {row, from, to} of spans(grid, chosen, NAN)) {
    context.fillRect(from * width, topOf(placed, row) * scale,
      (to - from) * width, rowHeight);
  }
}

/** Returns white diagonal stripes, 6 pixels apart. */
export function stripes(context) {
  const tile = new OffscreenCanvas(6, 6);
  const pen = tile.getContext('2d');
  pen.fillStyle = '#fff';
  for (let y = 0; y < 6; y++) {
    pen.fillRect((6 - y) % 6, y, 1, 1);
    pen.fillRect((7 - y) % 6, y, 1, 1);
  }
  return context.createPattern(tile, 'repeat');
}
