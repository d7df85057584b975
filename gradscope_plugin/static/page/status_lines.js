/** What became of the runs and of their recorded steps, in sentences; pure. */

import {counted} from '../findings/text.js';
import {duration} from '../basics/format.js';

// A run whose last step is younger is being trained, in s.
const LIVE = 60;

/**
 * Returns how many runs are shown, what became of their recorded steps, and how
 * old they are.
 * @param {Object[]} shown
 * @param {number} count of all runs
 * @param {number} updated when the server answered last, in ms; 0 is never
 * @param {string} failure why it does not answer now
 * @return {string[]}
 */
export function statusLines(shown, count, updated, failure) {
  const runs = shown.filter((run) => !run.error);
  const age = duration((Date.now() - updated) / 1000);
  const last = Math.max(...runs.map((run) => run.last_wall_time));
  const lag = Date.now() / 1000 - last;
  return [
    ...(shown.length < count ? [`${shown.length} of ${count} runs shown`] : []),
    ...(runs.length ? keptLines(runs, shown.length < count) : []),
    ...(updated ? [`updated ${age} ago`] : []),
    ...(failure && updated ? ['TensorBoard does not answer; trying again']
      : lag < LIVE ? [`live: last step ${duration(lag)} ago`] : []),
  ];
}

function keptLines(runs, isPart) {
  const shownSteps = runs.reduce((sum, run) => sum + run.steps, 0);
  const recorded = runs.reduce(
    (sum, run) => sum + Math.max(run.steps, run.recorded ?? 0), 0);
  const dropped = runs.reduce((sum, run) => sum + (run.dropped ?? 0), 0);
  const lines = [isPart ? `${shownSteps} of their ${recorded} recorded steps`
    : `${shownSteps} of ${recorded} recorded steps shown`];
  if (runs.some((run) => run.steps >= run.readable)) {
    lines.push('with so many rows, no more steps can be read at once; gradscope '
      + 'export and gradscope diagnose read all');
  } else if (shownSteps < recorded) {
    lines.push('TensorBoard sampled the others away: '
      + 'tensorboard --samples_per_plugin=gradscope=0 keeps all');
  }
  if (dropped) lines.push(`${counted(dropped, 'record')} lost during training`);
  const skipped = runs.reduce((sum, run) => sum + (run.skipped ?? 0), 0);
  if (skipped) lines.push(`${counted(skipped, 'step')} skipped by the loss scale`);
  return lines;
}
