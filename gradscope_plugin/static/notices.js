/** What the page says where there is nothing to draw; pure. */

import {ABSENT, MISSING, NAN} from './cells.js';

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
      'Wrap the optimizer with a directory below this log directory, and '
        + 'train. The first steps appear after a few seconds.',
    ],
    code: 'import gradscope\n\n'
      + 'optimizer = gradscope.wrap(optimizer, "logs/run")\n'
      + 'model.compile(optimizer, loss)\n'
      + 'model.fit(x, y)\n\n'
      + '# tensorboard --logdir logs',
  },
};

/** Returns what a heatmap shows: `gradient norm of each layer, …`. */
export function captionOf({label}, rows) {
  return `${label} of each ${rows.replace(/s$/, '')}, input at the top`;
}

/** Returns why a grid shows no number, an empty text if it does. */
export function messageOf(grid, rows, {optional, rows: own} = {}) {
  if (!grid) return '';
  if (!grid.rows) {
    if (own === 'activations') return 'No activation of this run was observed.';
    return rows === 'kernels'
      ? 'This run has no variable of two dimensions or more; see variables.'
      : 'This run has no trainable variable.';
  }
  const empty = (kind) => [NAN, MISSING, ABSENT].includes(kind);
  if (!grid.kinds.every(empty)) return '';
  return optional
    ?? 'Not one number here: every cell is NaN or was not recorded.';
}
