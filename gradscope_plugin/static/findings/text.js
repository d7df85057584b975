/** Findings in words; pure. */

import {tidy} from '../basics/format.js';

/** Worst first. */
export const SEVERITIES = ['error', 'warning', 'note'];

// Of long lists, as in the terminal.
const MOST = 5;

/** Returns since when there is what was found, as in `since step 340`. */
export function sinceText({steps: [first, last], until_the_end: stays}) {
  if (stays) return first ? `since step ${first}` : 'from the first step on';
  return first === last ? `in step ${first}` : `from step ${first} to ${last}`;
}

/** Returns `2 errors`. */
export function counted(count, word) {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}

/** Returns how many findings there are of each severity, worst first. */
export function countsOf(findings) {
  return SEVERITIES.map((severity) => ({severity,
    count: findings.filter((finding) => finding.severity === severity).length}))
    .filter(({count}) => count);
}

/**
 * Returns the numbers of a finding with the limits that they crossed.
 * @param {Object} evidence as the server tells it
 * @return {{name: string, value: string, limit: string}[]}
 */
export function evidenceRows(evidence) {
  return Object.entries(evidence)
    .filter(([name, value]) => value !== null && !name.endsWith('_limit'))
    .map(([name, value]) => ({name: name.replaceAll('_', ' '),
      value: shown(value), limit: shown(evidence[`${name}_limit`] ?? '')}));
}

function shown(value) {
  if (Array.isArray(value)) {
    const more = value.length > MOST ? ` and ${value.length - MOST} more` : '';
    return value.slice(0, MOST).map(shown).join(', ') + more;
  }
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return typeof value === 'number' ? tidy(Number(value.toPrecision(4)))
    : String(value);
}

/**
 * Returns the sentence for a run without findings, or beside them.
 * @param {?{findings: Object[], steps: number, sampled: boolean,
 *     problem: ?string}} reply null while there is none
 */
export function summaryOf(reply) {
  if (!reply) return 'being diagnosed…';
  const {findings, steps, sampled, problem} = reply;
  if (problem) return problem;
  const where = sampled ? `in ${steps} of its recorded steps`
    : `in ${counted(steps, 'recorded step')}`;
  return findings.length ? where : `nothing found ${where}`;
}

/**
 * Returns the sentence for runs without findings.
 * @param {string[]} names
 * @param {Object} first what the server said of the first one
 */
export function healthyText(names, first) {
  if (names.length === 1) return `${names[0]}: ${summaryOf(first)}`;
  const more = names.length > MOST
    ? `${names.slice(0, MOST).join(', ')} and ${names.length - MOST} more`
    : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
  return `nothing found in ${more}`;
}

/** What a user can do where TensorBoard has not kept all steps. */
export const SAMPLED =
  'TensorBoard kept no more steps; `gradscope diagnose LOGDIR` reads all.';

/** Returns a number that is smaller the worse a run's findings are; nothing is
 * worse than an error with NaN. */
export function rankOf(reply) {
  const worst = countsOf(reply?.findings ?? [])[0]?.severity;
  if (worst === SEVERITIES[0] && reply.nonfinite) return -1;
  return worst ? SEVERITIES.indexOf(worst) : SEVERITIES.length;
}
