/** Statistics of the forward pass: tables, no code. */

import {linear, log, share} from './entries.js';

const activation = {rows: 'activations'};
const unit = {rows: 'units',
  optional: 'No unit was seen for a whole window of examples so far.'};
const dropout = {rows: 'state', of: ['dropout'],
  optional: 'This run has no dropout.'};
const moving = {rows: 'state', of: ['batch_norm', 'state'],
  optional: 'This run has no batch normalization or the like.'};
const lag = {...moving, ends: ['as in inference', 'far from it']};
const data = {rows: 'data'};

export const ACTIVATIONS = {
  zero_fraction: share('zero outputs',
    'share of the activation’s outputs that are exactly zero', activation),
  saturated_fraction: share('saturated',
    'share of the outputs where the function’s slope is below 5 % of its '
      + 'largest',
    {...activation, optional: 'No activation here can saturate.'}),
  activation_rms: log('activation rms', [1e-5, 1e3],
    'root mean square of the activation’s outputs', activation),
  activation_max: log('largest activation', [1e-5, 1e3],
    'largest magnitude among the activation’s outputs', activation),
  activation_mean: linear('activation mean', [-1, 1],
    'mean of the activation’s outputs',
    {...activation, ends: ['negative', 'positive']}),
  activation_nonfinite: linear('non-finite outputs', [0, 1],
    'number of the activation’s outputs that are NaN or infinite',
    {...activation, ends: ['none', 'one or more']}),
};

export const UNITS = {
  // A share of a thousandth is another thing than none, so this is a log.
  unit_activity: log('activity', [1e-3, 1],
    'share of the examples for which a unit was above zero, since the column '
      + 'before; black where it was zero for all of a window',
    {...unit, marksDead: true, ends: ['almost never', 'always above zero']}),
  unit_idle_examples: log('silence', [10, 1e6],
    'examples since a unit was above zero',
    {...unit, ends: ['just fired', 'silent for long']}),
  dead_fraction: share('dead units',
    'share of the units that were zero for every example of a window',
    {...activation, optional: 'No unit of this run can be dead, or too few '
      + 'examples were seen so far.'}),
  always_on_fraction: share('always on',
    'share of the units that were above zero for every example of a window',
    {...activation, optional: 'No activation of this run can be always on, or '
      + 'too few examples were seen so far.'}),
};

export const STATES = {
  dropped_fraction: linear('dropped share', [0, 1],
    'share of its inputs that the layer dropped in this step; 0 where dropout '
      + 'was off', {...dropout, ends: ['kept all', 'dropped all']}),
  dropout_rate: linear('dropout rate', [0, 1],
    'share of its inputs that the layer is to drop',
    {...dropout, ends: ['keeps all', 'drops all']}),
  mean_distance: linear('mean distance', [0, 1],
    'how far the batch’s mean is from the moving mean, in standard deviations',
    lag),
  variance_distance: linear('variance distance', [0, 2],
    'how far the batch’s variance is from the moving variance: logarithm of '
      + 'their ratio, 0.7 is a factor of 2', lag),
  state_movement: log('state movement', [1e-3, 10],
    'how far the moving statistics have come since the start, in standard '
      + 'deviations', {...moving, ends: ['as at the start', 'far from it']}),
  training_mode: linear('training mode', [0, 1],
    '1 where the layer used the batch’s statistics, 0 where the moving ones',
    {...moving, ends: ['moving statistics', 'batch statistics']}),
};

export const DATA = {
  data_rms: log('data rms', [1e-3, 1e3],
    'root mean square; networks learn best from inputs whose rms is about 1',
    {...data, center: 1, ends: ['tiny', 'huge']}),
  data_mean: linear('data mean', [-3, 3],
    'mean of all elements; of inputs about 0 is usual',
    {...data, center: 0, ends: ['negative', 'positive']}),
  data_variation: log('variation', [1e-3, 1e3],
    'how much the examples of the batch differ: root mean square of what is '
      + 'left of them without their mean',
    {...data, ends: ['all alike', 'far apart'],
      optional: 'Of a batch of one example there is no variation.'}),
  data_min: linear('smallest', [-3, 3], 'smallest element',
    {...data, center: 0, ends: ['negative', 'positive']}),
  data_max: linear('largest', [-3, 3], 'largest element',
    {...data, center: 0, ends: ['negative', 'positive']}),
  // The scale ends so early that one element in a million is seen.
  data_nonfinite: linear('non-finite data', [0, 1e-6],
    'share of the elements that are NaN or infinite',
    {...data, ends: ['none', 'some']}),
};
