/** What the strip shows of some runs: which lanes, lines and texts; pure. */

import {makeScale} from '../scales/scale.js';
import {short} from '../basics/format.js';

// A log scale where the largest number is so many times the smallest.
const WIDE = 30;

// What is beyond so many times the number below which nearly all others are,
// lies beyond the scale.
const USUAL = 0.95;
const FAR = 10;
const FEW = 20;

const LOSSES = ['loss', 'val_loss'];

// What `fit` logs of the optimizer is known of each step.
const RATES = ['lr', 'learning_rate'];

/**
 * One run's numbers of one name; dashed are those of validation.
 * @typedef {{run: string, name: string, color: string, isDashed: boolean,
 *     steps: ArrayLike<number>, values: Float32Array}} Line
 * @typedef {{name: string, title: string, lines: Line[], scale: Object}} Lane
 */

/**
 * Returns the lanes of some runs.
 * @param {{name: string, color: string,
 *     curves: import('../data/curves.js').Curves}[]} runs
 * @param {string=} metric the one that is shown, where there are several
 * @return {{lanes: Lane[], metrics: string[], texts: string[]}} `texts` say
 *     what does not change
 */
export function lanesOf(runs, metric = '') {
  const metrics = [...new Set(runs.flatMap(metricNames))];
  const shownMetric = metrics.includes(metric) ? metric : metrics[0];
  const ofStep = (name) => runs.flatMap((run) => lineOfStep(run, name));
  const ofEpochs = (name, isDashed) =>
    runs.flatMap((run) => lineOfEpochs(run, name, isDashed));
  const losses = runs.flatMap((run) => {
    const line = lineOfStep(run, 'loss');
    return line.length ? line : lineOfEpochs(run, 'loss', false);
  });
  const rates = ofStep('learning_rate');
  const scales = ofStep('loss_scale');
  const lane = (name, title, lines, isShown = true) =>
    (lines.length && isShown ? [{name, title, lines, scale: scaleOf(lines)}]
      : []);
  return {metrics,
    lanes: [
      ...lane('loss', 'loss', [...losses, ...ofEpochs('val_loss', true)]),
      ...shownMetric ? lane('metric', shownMetric, [
        ...ofEpochs(shownMetric, false),
        ...ofEpochs(`val_${shownMetric}`, true)]) : [],
      ...lane('global_gradient_norm', 'gradient norm',
        ofStep('global_gradient_norm')),
      ...lane('learning_rate', 'learning rate', rates,
        !rates.every(isConstant)),
      ...lane('loss_scale', 'loss scale', scales,
        !scales.every(isConstant)),
    ],
    texts: [...constantText('learning rate', rates),
      ...constantText('loss scale', scales), ...skippedTexts(runs)]};
}

function metricNames({curves: {epochs}}) {
  return epochs.flatMap(({values}) => Object.keys(values))
    .filter((name) => !LOSSES.includes(name) && !RATES.includes(name))
    .map((name) => name.replace(/^val_/, ''));
}

function lineOfStep({name: run, color, curves}, name) {
  const values = curves.values.get(name);
  return values ? [{run, name, color, isDashed: false, steps: curves.steps,
    values}] : [];
}

function lineOfEpochs({name: run, color, curves: {epochs}}, name, isDashed) {
  const points = epochs.filter(({values}) => name in values);
  return points.length ? [{run, name, color, isDashed,
    steps: points.map(({step}) => step),
    values: Float32Array.from(points, ({values}) => values[name])}] : [];
}

const isConstant = ({values}) => values.every((value) => value === values[0]
  || Number.isNaN(value));

/** Returns the text for lines that do not change, if all are the same. */
function constantText(title, lines) {
  if (!lines.length || !lines.every(isConstant)) return [];
  const values = [...new Set(lines.map(({values: all}) =>
    all.find((value) => !Number.isNaN(value))))];
  return [`${title} ${values.map((value) => short(value)).join(', ')}`];
}

function skippedTexts(runs) {
  const count = runs.reduce((sum, {curves}) =>
    sum + (curves.values.get('skipped')?.at(-1) || 0), 0);
  return count ? [`${count} step${count === 1 ? '' : 's'} skipped by the loss `
    + 'scale'] : [];
}

/** Returns all finite numbers of some lines, the smallest first. */
const sortedNumbers = (lines) => lines.flatMap(({values}) =>
  Array.from(values).filter(Number.isFinite)).sort((a, b) => a - b);

/** Returns the number below which nearly all others lie, NaN of few. */
const usualOf = (sorted) => (sorted.length < FEW ? NaN
  : sorted[Math.floor(USUAL * (sorted.length - 1))]);

/** Returns the steps in which a loss scale skipped some, as steps recorded. */
export function skippedSteps({steps, values}) {
  const skipped = values.get('skipped');
  return skipped ? Array.from(steps).filter((_, i) =>
    skipped[i] > (i ? skipped[i - 1] : 0)) : [];
}

/** Returns the scale of some lines: log where they span orders of magnitude. A
 * few numbers far above all others lie beyond it: a run that explodes would
 * make those beside it flat. `ends` are the numbers without the margin around
 * them: an accuracy of 1 is not to look like one of 1.02; `most` is the largest
 * of all. */
export function scaleOf(lines) {
  const sorted = sortedNumbers(lines);
  const [low, most] = [sorted[0] ?? 0, sorted.at(-1) ?? 1];
  const usual = usualOf(sorted);
  const high = usual > 0 && most > FAR * usual ? FAR * usual : most;
  const ends = [low, high];
  const isLog = low > 0 && high / low > WIDE;
  if (isLog) return {...makeScale({scale: 'log', domain: ends}), ends, most};
  const margin = ((high - low) || Math.abs(low) || 1) * 0.05;
  const domain = [low < 0 || low - margin > 0 ? low - margin : low,
    high + margin];
  return {...makeScale({scale: 'linear', domain}), ends, most};
}
