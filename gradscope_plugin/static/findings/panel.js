/** The panel of findings above the heatmaps: run by run, the worst first. */

import {withCode} from './code.js';
import {element, keyed} from '../basics/dom.js';
import {
  SAMPLED, counted, countsOf, rankOf, summaryOf,
} from './text.js';
import {createFinding, sign} from './finding.js';
import {runLabel} from '../basics/format.js';

/**
 * @param {{colorOf: (name: string) => string,
 *     onGo: (run: string, finding: Object) => void,
 *     onFold: (folded: boolean) => void}} options
 */
export function createPanel({colorOf, onGo, onFold}) {
  const counts = element('span', {className: 'counts', role: 'status'});
  const body = element('div', {className: 'body'});
  const node = element('details', {className: 'findings'},
    element('summary', {}, element('h2', {}, 'Findings'), counts), body);
  node.addEventListener('toggle', () => onFold(!node.open));
  const updateRuns = keyed(body, ({run}) => run.name,
    ({run}) => runFindings(run.name, colorOf, onGo));
  return {
    node,

    /**
     * @param {{run: Object, reply: ?Object}[]} found of the runs shown
     * @param {?{run: string, key: string}} chosen
     * @param {boolean} folded
     */
    update(found, chosen, folded) {
      node.hidden = !found.length;
      if (node.open === folded) node.open = !folded;
      const now = total(found);
      // A screen reader says it whenever it changes, and only then.
      if (texts(now) !== texts([...counts.childNodes])) {
        counts.replaceChildren(...now);
      }
      const sorted = [...found].sort(
        (a, b) => rankOf(a.reply) - rankOf(b.reply));
      updateRuns(sorted).forEach((part, index) => part.update(
        sorted[index].reply,
        chosen?.run === sorted[index].run.name ? chosen.key : null));
    },
  };
}

const isHealthy = (reply) =>
  Boolean(reply) && !reply.problem && !reply.findings.length;

const texts = (nodes) =>
  nodes.map((node) => node.textContent ?? node).join('|');

function total(found) {
  const replies = found.map(({reply}) => reply);
  const counts = countsOf(replies.flatMap((reply) => reply?.findings ?? []));
  const ill = replies.filter((reply) => reply?.findings.length).length;
  const told = counts.map(({severity, count}) => element('span',
    {className: severity}, sign(severity), counted(count, severity)));
  if (!counts.length) {
    return replies.every(isHealthy) ? [sign('none'), 'nothing found'] : [];
  }
  if (found.length < 2) return told;
  return [...told, element('small', {}, `in ${ill} of ${found.length} runs`)];
}

/** <section><h3>● run <small>in 85 recorded steps</small></h3><ul>…</ul> */
function runFindings(name, colorOf, onGo) {
  const dot = element('span', {className: 'dot'});
  dot.style.background = colorOf(name);
  const summary = element('small');
  const healthy = sign('none');
  const sampled = element('small');
  const list = element('ul');
  const updateItems = keyed(list, ({key}) => key,
    () => createFinding((finding) => onGo(name, finding)));
  sampled.append(...withCode(SAMPLED));
  return {
    node: element('section', {},
      element('h3', {}, dot, element('b', {}, runLabel(name)), healthy,
        summary, sampled), list),
    update(reply, chosen) {
      const text = summaryOf(reply);
      if (summary.textContent !== text) summary.textContent = text;
      summary.classList.toggle('error', Boolean(reply?.problem));
      sampled.hidden = !reply?.sampled;
      healthy.hidden = !isHealthy(reply);
      const items = withKeys(reply?.findings ?? []);
      updateItems(items).forEach((part, index) => part.update(
        items[index].finding, items[index].key === chosen));
    },
  };
}

/**
 * Returns findings with what each is known by: they may grow, and be told in
 * other numbers, and still are the same.
 */
export function withKeys(findings) {
  const seen = new Map();
  return findings.map((finding) => {
    const name = JSON.stringify([finding.kind, finding.layer]);
    seen.set(name, (seen.get(name) ?? 0) + 1);
    return {finding, key: `${name} ${seen.get(name)}`};
  });
}
