/** Statistics of variables and layers: a table, no code. */

import {linear, log, share} from './entries.js';

const flow = {ends: ['vanishing', 'exploding']};

export const GRADIENTS = {
  gradient_norm: log('gradient norm', [1e-8, 10],
    'L2 norm of the gradient that the step applied, before clipping', flow),
  gradient_rms: log('gradient rms', [1e-9, 1],
    'root mean square of the gradient’s elements', flow),
  gradient_max: log('largest gradient', [1e-8, 10],
    'largest magnitude among the gradient’s elements', flow),
  gradient_zero_fraction: share('zero fraction',
    'share of the gradient’s elements that are exactly zero'),
  gradient_unit_spread: linear('difference between units', [0, 1],
    'how far the gradients of a kernel’s units are from their mean, relative '
      + 'to them; at 0 all units of the layer stay one and the same',
    {ends: ['all alike', 'all differ'],
      optional: 'No gradient here has several units.'}),
  gradient_size: log('gradient size', [1, 1e8],
    'number of the gradient’s elements; of an embedding, of the rows in use'),
  // The scale ends at 1: a single non-finite element must be seen.
  gradient_nonfinite: linear('non-finite', [0, 1],
    'number of the gradient’s elements that are NaN or infinite',
    {ends: ['none', 'one or more']}),
};

export const WEIGHTS = {
  update_to_weight_ratio: log('update : weight', [1e-6, 1],
    'how far the step moved the weights, relative to them; about 1e-3 is usual',
    {center: 1e-3, ends: ['hardly learns', 'overwrites itself']}),
  gradient_to_weight_ratio: log('gradient : weight', [1e-8, 10],
    'gradient norm over weight norm', flow),
  clipped_gradient_norm: log('clipped gradient', [1e-8, 10],
    'L2 norm of the gradient after the optimizer’s own clipping',
    {...flow, optional: 'The optimizer of this run does not clip.'}),
  variable_learning_rate: log('learning rate', [1e-6, 1],
    'learning rate of the part of the optimizer that updates the variable'),
  update_norm: log('update norm', [1e-8, 10],
    'L2 norm of what the step added to the weights'),
  weight_norm: log('weight norm', [1e-3, 1e3],
    'L2 norm of the weights before the step'),
  weight_rms: log('weight rms', [1e-5, 10],
    'root mean square of the weights before the step'),
};
