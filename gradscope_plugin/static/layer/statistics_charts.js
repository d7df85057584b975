/** Which charts the detail of a layer has. */

import {createLineChart} from './line_chart.js';
import {linesOf} from '../statistics/statistics.js';

const COLORS = ['--series-1', '--series-2', '--series-3', '--series-4'];

// The statistics of each are declared with its title; a run may lack some.
export const NORMS = {title: 'norms', scale: 'log'};
export const RATIOS = {title: 'ratios', scale: 'log'};
export const SHARES = {title: 'shares', scale: 'linear', domain: [0, 1]};
export const SIZES = {title: 'outputs', scale: 'log'};
export const STATES = {title: 'state', scale: 'linear'};

/** Returns a chart of a kind; `update` gets series as `detail_data` has. */
export function createStatisticsChart(kind, prefix, nameOf) {
  const lines = linesOf(kind.title);
  const chart = createLineChart({...kind, band: bandOf(lines),
    title: `${prefix}${kind.title}`,
    nameOf: () => [...nameOf(), kind.title]});
  return {
    node: chart.node,
    drawCursor: chart.drawCursor,
    update(measured, zoom, axis) {
      const series = lines.flatMap(({name, label, line}) => {
        const values = measured?.of(name);
        return values?.some((value) => !Number.isNaN(value))
          ? [{name, values, label, color: COLORS[line.color - 1]}] : [];
      });
      chart.update({steps: measured?.steps ?? new Float64Array(), series, zoom,
        axis});
    },
  };
}

/** Returns the band of usual values, undefined if no statistic has one. */
function bandOf(lines) {
  const usual = lines.find(({line}) => line.band);
  if (!usual) return undefined;
  const {low, high, text} = usual.line.band;
  return {from: low, to: high, label: `${usual.label}, ${text}`};
}
