/** Which statistic shows what a finding is about: a table, and its reader. */

const gradients = {statistics: ['gradient_rms', 'gradient_norm']};
const norms = {statistics: ['gradient_norm']};
const weights = {statistics: ['weight_rms', 'weight_norm']};
const updates = {statistics: ['update_to_weight_ratio']};
const dropout = {statistics: ['dropped_fraction', 'dropout_rate']};
const moving = {statistics: ['mean_distance', 'variance_distance']};
const data = (role, ...statistics) => ({role, statistics});

/**
 * Of each kind of finding the statistics that show it, the best one first: a
 * run may not have it. `role` says that it is about data, and of which kind.
 */
export const SHOWS = {
  'non-finite': {statistics: ['gradient_nonfinite']},
  'zero-init': {statistics: ['weight_norm']},
  'symmetric-units': {statistics: ['gradient_unit_spread']},
  'single-unit-softmax': {statistics: ['activation_mean']},
  'softmax-axis': {statistics: ['activation_mean']},
  'constant-labels': data('target', 'data_mean'),
  'output-range': data('target', 'data_max'),
  'relu-output': {statistics: ['zero_fraction', 'dead_fraction']},
  'hidden-softmax': {statistics: ['activation_rms']},
  'missing-nonlinearity': norms,
  'disconnected-variable': norms,
  'loss-diverges': updates,
  'learning-rate': updates,
  'exploding-gradient': gradients,
  'init-too-large': weights,
  'init-too-small': weights,
  'vanishing-gradient': gradients,
  'dead-relu': {statistics: ['dead_fraction', 'zero_fraction']},
  'saturated-activation': {statistics: ['saturated_fraction']},
  'zero-gradient': norms,
  'unscaled-input': data('input', 'data_rms'),
  'unscaled-target': data('target', 'data_rms'),
  'dropout-keep-prob': dropout,
  'penalty-dominates': {statistics: ['weight_norm']},
  'batchnorm-statistics': moving,
  'shared-batchnorm': moving,
  'train-inference-mismatch':
    {statistics: [...moving.statistics, ...dropout.statistics]},
  'update-too-large': updates,
  'update-too-small': updates,
  'loss-metric-disagree': norms,
  'unordered-sums': norms,
};

// What was not finite first decides where to look.
const NOT_FINITE = {
  input: data('input', 'data_nonfinite'),
  target: data('target', 'data_nonfinite'),
  output: data('output', 'data_nonfinite'),
  activation: {statistics: ['activation_nonfinite']},
  weight: {statistics: ['weight_norm']},
  update: {statistics: ['update_norm']},
};

/**
 * Returns what shows a finding; nothing for kinds of a later gradscope.
 * @return {{statistics: string[], role: (string|undefined)}}
 */
export function placeOf({kind, evidence}) {
  const first = kind === 'non-finite' ? evidence.first : undefined;
  return NOT_FINITE[first] ?? SHOWS[kind] ?? {statistics: []};
}

/**
 * Returns the statistic to look at.
 * @param {Object} finding
 * @param {string[]} available statistics of the run
 * @return {string|undefined} nothing if the run has none that shows it
 */
export function statisticFor(finding, available) {
  return placeOf(finding).statistics.find((name) => available.includes(name));
}
