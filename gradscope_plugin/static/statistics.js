/**
 * What the page knows about each statistic: a table, no code.
 *
 * `scale` is log where only the order of magnitude says something, `domain` its
 * default ends. They are fixed, so that a colour means the same number today
 * and tomorrow, in this run and in that. `center` makes the colours diverge.
 * `optional` says why a run may have no such number at all, `rows` that its
 * rows are others than those chosen. `ends` says in words what a very small and a very large value mean.
 */

const log = (label, domain, help, more = {}) =>
  ({label, scale: 'log', domain, help, ends: ['small', 'large'], ...more});
const linear = (label, domain, help, more = {}) =>
  ({label, scale: 'linear', domain, help, ends: ['', ''], ...more});

const flow = {ends: ['vanishing', 'exploding']};

const activation = (label, help, more = {}) =>
  linear(label, [0, 1], help, {rows: 'activations', ...more});
const share = {ends: ['none', 'all']};

export const STATISTICS = {
  gradient_norm: log('gradient norm', [1e-8, 10],
    'L2 norm of the gradient that the step applied, before clipping', flow),
  gradient_rms: log('gradient rms', [1e-9, 1],
    'root mean square of the gradient’s elements', flow),
  gradient_max: log('largest gradient', [1e-8, 10],
    'largest magnitude among the gradient’s elements', flow),
  clipped_gradient_norm: log('clipped gradient', [1e-8, 10],
    'L2 norm of the gradient after the optimizer’s own clipping',
    {...flow, optional: 'The optimizer of this run does not clip.'}),
  gradient_to_weight_ratio: log('gradient : weight', [1e-8, 10],
    'gradient norm over weight norm', flow),
  update_to_weight_ratio: log('update : weight', [1e-6, 1],
    'how far the step moved the weights, relative to them; about 1e-3 is usual',
    {center: 1e-3, ends: ['hardly learns', 'overwrites itself']}),
  update_norm: log('update norm', [1e-8, 10],
    'L2 norm of what the step added to the weights'),
  weight_norm: log('weight norm', [1e-3, 1e3],
    'L2 norm of the weights before the step'),
  weight_rms: log('weight rms', [1e-5, 10],
    'root mean square of the weights before the step'),
  gradient_zero_fraction: linear('zero fraction', [0, 1],
    'share of the gradient’s elements that are exactly zero',
    {ends: ['none', 'all']}),
  gradient_size: log('gradient size', [1, 1e8],
    'number of the gradient’s elements; of an embedding, of the rows in use'),
  // The scale ends at 1: a single non-finite element must be seen.
  gradient_nonfinite: linear('non-finite', [0, 1],
    'number of the gradient’s elements that are NaN or infinite',
    {ends: ['none', 'one or more']}),
  dead_fraction: activation('dead units',
    'share of the units that were zero for every example of a window',
    {...share, optional: 'No unit of this run can be dead, or too few examples '
      + 'were seen so far.'}),
  always_on_fraction: activation('always on',
    'share of the units that were above zero for every example of a window',
    {...share, optional: 'No activation of this run can be always on, or too '
      + 'few examples were seen so far.'}),
  zero_fraction: activation('zero outputs',
    'share of the activation’s outputs that are exactly zero', share),
  saturated_fraction: activation('saturated',
    'share of the outputs where the function’s slope is below 5 % of its '
      + 'largest', {...share, optional: 'No activation here can saturate.'}),
  activation_rms: log('activation rms', [1e-5, 1e3],
    'root mean square of the activation’s outputs', {rows: 'activations'}),
  activation_max: log('largest activation', [1e-5, 1e3],
    'largest magnitude among the activation’s outputs', {rows: 'activations'}),
  activation_mean: linear('activation mean', [-1, 1],
    'mean of the activation’s outputs',
    {rows: 'activations', ends: ['negative', 'positive']}),
  activation_nonfinite: activation('non-finite outputs',
    'number of the activation’s outputs that are NaN or infinite',
    {ends: ['none', 'one or more']}),
};

/** Returns the entry of a statistic, a plain one for those of later files. */
export function describe(name) {
  return STATISTICS[name] ?? log(name.replaceAll('_', ' '), [1e-8, 10], '');
}

/**
 * Returns the statistics to choose from, those of the table first. Missing
 * gradients are left out: they are marked in all others.
 */
export function ordered(names) {
  const known = Object.keys(STATISTICS).filter((name) => names.includes(name));
  return [...known, ...names.filter((name) => !known.includes(name)
    && name !== 'gradient_missing')];
}

/** Names of the kinds of rows, as the server knows them. */
export const ROWS = ['layers', 'kernels', 'variables'];
