/** What the page says where there is nothing to draw; pure. */

import {ABSENT, MISSING, NAN} from '../data/cell_kinds.js';

export const NOTICES = {
  loading: {title: 'Reading the runs…'},
  unreachable: {title: 'TensorBoard does not answer.'},
  noneChosen: {
    title: 'No run is selected.',
    lines: ['Tick a run on the left, or change the filter.'],
  },
  noRuns: {
    title: 'Nothing is recorded yet.',
    lines: [
      'Add these lines to your program, with a directory below this log '
        + 'directory, and train. The first steps appear after a few seconds.',
    ],
    code: 'import gradscope\n'
      + 'optimizer = gradscope.wrap(optimizer, "logs/run")\n'
      + 'model.compile(optimizer, loss)',
  },
};

// One row of each kind, in words.
const ONE = {
  layers: 'layer', kernels: 'kernel', variables: 'variable',
  activations: 'activation', units: 'unit', state: 'layer',
  data: 'input, target and output',
};

// Why there are no rows, where that needs more words than a statistic has.
const NO_ROWS = {
  layers: () => 'This run has no trainable variable.',
  variables: () => 'This run has no trainable variable.',
  kernels: () =>
    'This run has no variable of two dimensions or more; see variables.',
  activations: ({unseen}) =>
    `${['No activation of this run was observed', ...unseen].join(': ')}.`,
  units: () => 'This run has no map of its units: a map needs a ReLU or a '
    + 'leaky ReLU, and a window of examples.',
  data: () =>
    'The inputs, targets and outputs of this run were not observed.',
};

const LACKING = 'This statistic was not recorded in this run.';

/**
 * Returns the caption of a heatmap: `gradient norm of each layer, …`.
 * @param {{label: string}} description
 * @param {string} rows
 * @param {boolean=} isFolded whether a line stands for several rows
 */
export function captionOf({label}, rows, isFolded = false) {
  return `${label} of each ${ONE[rows]}, input at the top`
    + (isFolded ? `; of a folded block its largest ${ONE[rows]}, and NaN of any`
      : '');
}

/**
 * Returns why a grid shows no number, an empty text if it does.
 * @param {any} grid
 * @param {string} rows
 * @param {{optional?: string, rows?: string}=} description
 */
export function messageOf(grid, rows, {optional, rows: ownRows} = {}) {
  if (!grid) return '';
  if (grid.isLacking) return LACKING;
  if (!grid.rows) return NO_ROWS[ownRows ?? rows]?.(grid) ?? optional;
  const empty = (kind) => [NAN, MISSING, ABSENT].includes(kind);
  if (!grid.kinds.every(empty)) return '';
  return optional
    ?? 'No number to show: every cell is NaN or was not recorded.';
}
