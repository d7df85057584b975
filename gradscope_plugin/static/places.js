/** Where the rows of a heatmap go, and the names beside them; pure. */

// Between two groups of rows. A line instead would look like a row.
const GAP = 6;

// A line of text, two of them, and the room that the number of a unit takes.
const ONE_LINE = 13;
const TWO_LINES = 28;
const UNIT_LABEL = 18;

/** Height of a row: as many of 420 pixels as fit, 3 (with 200 rows) to 18. */
export function rowHeight(rows) {
  return Math.max(3, Math.min(18, Math.floor(420 / rows)));
}

/** Height of a unit: of ten layers of 128 each is a line of one pixel, which
 * is seen if it is black, where three would take five screens. */
export function unitHeight(rows) {
  return Math.max(1, Math.min(18, Math.floor(640 / rows)));
}

/**
 * Returns the blocks of rows that a grid is drawn in, one a group.
 * @param {{rows: number, groups: (Object[]|undefined)}} grid
 * @return {{height: number, total: number, blocks: {from: number, to: number,
 *     top: number}[]}} in pixels: height of a row and of all, top of a block
 */
export function placeRows({rows, groups}) {
  const height = groups ? unitHeight(rows) : rowHeight(rows);
  const blocks = (groups ?? [{from: 0, to: rows}]).map((group, index) =>
    ({...group, top: group.from * height + index * GAP}));
  return {height, blocks, total: rows * height + GAP * (blocks.length - 1)};
}

/** Returns where a row begins. */
export function topOf({height, blocks}, row) {
  const {from, top} = blocks.findLast((block) => block.from <= row);
  return top + (row - from) * height;
}

/** Returns the row at a height; below a block, its last row. */
export function rowAt({height, blocks}, y) {
  const {from, to, top} =
    blocks.findLast((block) => block.top <= y) ?? blocks[0];
  const row = from + Math.floor((y - top) / height);
  return Math.max(from, Math.min(to - 1, row));
}

/** Returns the rows whose names fit, `space` pixels each. */
export function labelledRows(rows, height, space = 14) {
  const every = Math.max(1, Math.ceil(space / height));
  return Array.from({length: Math.ceil(rows / every)}, (_, i) => i * every);
}

/**
 * Returns the blocks whose names fit, and whether there is room for a second
 * line below. A name that would overlap the one above is left out.
 * @return {{block: Object, lines: number}[]}
 */
export function labelledBlocks({height, blocks}) {
  let free = 0;
  const labelled = [];
  for (const block of blocks) {
    if (block.top < free) continue;
    const lines = (block.to - block.from) * height >= TWO_LINES ? 2 : 1;
    free = block.top + (lines > 1 ? TWO_LINES : ONE_LINE);
    labelled.push({block, lines});
  }
  return labelled;
}

/** Returns the rows of units whose numbers fit: every one, 2nd, 4th and so on
 * of each group. Beside the first there is the group's name. */
export function labelledUnits({height, blocks}) {
  let every = 1;
  while (every * height < UNIT_LABEL) every *= 2;
  return blocks.flatMap(({from, to}) =>
    Array.from({length: Math.ceil((to - from) / every)},
      (_, i) => from + i * every)
      // The last one may be too near to the next group's name.
      .filter((row) => row > from && (to - row) * height >= ONE_LINE));
}
