/** Blocks of a deep model: neighbouring rows that belong together; pure. */

// Fewer rows than these are seen at once, each with its name.
export const DEEP = 48;

// Of rows without blocks of their own so many are put together.
const NEIGHBOURS = 20;

// `conv2_block1_1_conv` is of `conv2_block1`, `encoder_layer_3_dense` of
// `encoder_layer_3`.
const WORDS = 'block|layer|stage|cell|group|encoder|decoder|res';
const NUMBERED = new RegExp(
  `^(.*?(?:${WORDS})[a-z]*_?\\d+[a-z]?)[_.]`, 'i');

/** Returns the block that a row's name tells, an empty text if none. */
export function blockOf(name) {
  const path = name.split('/');
  // Of `dense_1/kernel` the path is that of a variable.
  if (path.length > 2) return path[0];
  if (path.length === 2 && /\d/.test(path[0]) && /\d|[a-z]/i.test(path[1])) {
    return path[0];
  }
  return NUMBERED.exec(name)?.[1] ?? '';
}

/**
 * Returns the blocks of a deep model's rows, none where all rows can be seen.
 * @param {{name: string}[]} named rows in forward order
 * @return {{name: string, from: number, to: number}[]} all rows in order, `to`
 *     excluded; the name says which they are
 */
export function blocksOf(named) {
  if (named.length <= DEEP) return [];
  const blocks = [];
  named.forEach(({name}, row) => {
    const block = blockOf(name);
    const last = blocks.at(-1);
    if (last && (block ? last.name === block : !last.name)) last.to = row + 1;
    else blocks.push({name: block, from: row, to: row + 1});
  });
  const groups = blocks.filter(({name, from, to}) => name && to - from > 1);
  return groups.length > 1 ? blocks.map((block) => titled(block, named))
    : neighbours(named);
}

function titled(block, named) {
  return {...block, name: block.name || rangeName(named, block)};
}

function neighbours(named) {
  const count = Math.ceil(named.length / NEIGHBOURS);
  return Array.from({length: count}, (_, index) => {
    const from = index * NEIGHBOURS;
    const to = Math.min(named.length, from + NEIGHBOURS);
    return {name: rangeName(named, {from, to}), from, to};
  });
}

function rangeName(named, {from, to}) {
  const [first, last] = [named[from], named[to - 1]].map(({name}) =>
    blockOf(name) || name);
  return first === last ? first : `${first} … ${last}`;
}
