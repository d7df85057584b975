/** Which charts the detail of a layer has. */

import {createLineChart} from './line_chart.js';
import {describe} from '../statistics/statistics.js';

const COLORS = ['--series-1', '--series-2', '--series-3', '--series-4'];

// Of each chart its statistics; a run may lack some.
export const NORMS = {title: 'norms', scale: 'log',
  names: ['gradient_norm', 'weight_norm', 'update_norm',
    'clipped_gradient_norm']};
export const RATIOS = {title: 'ratios', scale: 'log',
  names: ['update_to_weight_ratio', 'gradient_to_weight_ratio'],
  // Half a decade around what is usual.
  band: {from: 3e-4, to: 3e-3, label: 'update : weight, usual about 1e-3'}};
export const SHARES = {title: 'shares', scale: 'linear', domain: [0, 1],
  names: ['dead_fraction', 'zero_fraction', 'saturated_fraction',
    'always_on_fraction']};
export const SIZES = {title: 'outputs', scale: 'log',
  names: ['activation_rms', 'activation_max']};
export const STATES = {title: 'state', scale: 'linear',
  names: ['dropped_fraction', 'mean_distance', 'variance_distance',
    'state_movement']};

/** Returns a chart of a kind; `update` gets series as `detail_data` has. */
export function createStatisticsChart(kind, prefix, nameOf) {
  const chart = createLineChart({...kind, title: `${prefix}${kind.title}`,
    nameOf: () => [...nameOf(), kind.title]});
  return {
    node: chart.node,
    drawCursor: chart.drawCursor,
    update(found, zoom) {
      const series = kind.names.flatMap((name, index) => {
        const values = found?.of(name);
        return values?.some((value) => !Number.isNaN(value)) ? [{name, values,
          label: describe(name).label, color: COLORS[index]}] : [];
      });
      chart.update({steps: found?.steps ?? new Float64Array(), series, zoom});
    },
  };
}
