/** The panel of findings above the heatmaps: run by run, the worst first. */

import {showCode, withCode} from '../basics/code_in_text.js';
import {element, foldable, keyed} from '../basics/dom.js';
import {
  SAMPLED, counted, countsOf, healthyText, rankOf, summaryOf,
} from './text.js';
import {createFinding, sign} from './finding.js';
import {layerOf} from '../data/row_names.js';
import {runLabel} from '../basics/format.js';

/**
 * A run, what the server said of it, and whether its heatmap is there.
 * @typedef {{run: Object, reply: ?Object, isShown: boolean}} Diagnosed
 */

/**
 * @param {{colorOf: (name: string) => string,
 *     onGo: (run: string, finding: Object) => void,
 *     onLayer: (run: string, layer: string) => void,
 *     onFold: (folded: boolean) => void}} options
 */
export function createPanel({colorOf, onGo, onLayer, onFold}) {
  const counts = element('span', {className: 'counts', role: 'status'});
  const body = element('div', {className: 'body'});
  const healthy = element('p', {className: 'healthy-runs'});
  const node = element('details', {className: 'findings'},
    element('summary', {}, element('h2', {}, 'Findings'), counts), body);
  const fold = foldable(node, onFold);
  const list = element('div');
  body.append(list, healthy);
  const updateRuns = keyed(list, ({run}) => run.name,
    ({run}) => runFindings(run.name, {colorOf, onGo, onLayer}));
  return {
    node,

    /**
     * @param {{listed: Diagnosed[], unlisted: Diagnosed[],
     *     selection: ?{run: string, key: string}, folded: boolean}} now
     *     `unlisted` are counted, too
     */
    update({listed, unlisted, selection, folded}) {
      node.hidden = !listed.length;
      fold(folded);
      // A screen reader says it whenever it changes, and only then.
      replaceIfNew(counts, total(listed, unlisted));
      const ill = listed.filter(({reply}) => reply && !isHealthy(reply))
        .sort((a, b) => rankOf(a.reply) - rankOf(b.reply));
      updateRuns(ill).forEach((part, index) => part.update(ill[index],
        selection?.run === ill[index].run.name ? selection.key : null));
      replaceIfNew(healthy, healthyLine(listed));
    },
  };
}

const isHealthy = (reply) =>
  Boolean(reply) && !reply.problem && !reply.findings.length;

const texts = (nodes) =>
  nodes.map((node) => node.textContent ?? node).join('|');

function replaceIfNew(node, now) {
  if (texts(now) !== texts([...node.childNodes])) node.replaceChildren(...now);
}

/** Returns how many findings all runs have; nothing is said to be healthy
 * before every run is diagnosed. */
function total(listed, unlisted) {
  const counts = countsOf(findingsOf(listed)).map(({severity, count}) =>
    element('span', {className: severity}, sign(severity),
      counted(count, severity)));
  const small = (text) => element('small', {}, text);
  const pending = listed.filter(({reply}) => !reply).length;
  const ill = listed.filter(({reply}) => reply?.findings.length).length;
  const isFine = listed.every(({reply}) => isHealthy(reply));
  return [
    ...counts, ...isFine ? [sign('none'), 'nothing found'] : [],
    ...counts.length && listed.length > 1
      ? [small(`in ${ill} of ${listed.length} runs`)] : [],
    ...isFine && listed.length > 1 ? [small(`in ${listed.length} runs`)] : [],
    ...pending ? [small(listed.length > 1
      ? `${counted(pending, 'run')} being diagnosed…` : 'being diagnosed…')]
      : [],
    ...elsewhere(unlisted),
  ];
}

function findingsOf(all) {
  return all.flatMap(({reply}) => reply?.findings ?? []);
}

/** Returns a line about the findings of runs that are not listed. */
function elsewhere(unlisted) {
  const counts = countsOf(findingsOf(unlisted));
  if (!counts.length) return [];
  const text = counts.map(({severity, count}) => counted(count, severity))
    .join(', ');
  const runs = unlisted.filter(({reply}) => reply?.findings.length).length;
  return [element('small', {className: 'elsewhere'},
    `${text} in ${counted(runs, 'other run')}`)];
}

/** Returns the line of the runs in which nothing was found. */
function healthyLine(listed) {
  const runs = listed.filter(({reply}) => isHealthy(reply));
  if (!runs.length) return [];
  const names = runs.map(({run}) => runLabel(run.name));
  return [sign('none'), healthyText(names, runs[0].reply)];
}

/** <section><h3>● run <small>in 85 recorded steps</small></h3><ul>…</ul> */
function runFindings(name, {colorOf, onGo, onLayer}) {
  const dot = element('span', {className: 'dot'});
  const summary = element('small');
  const hidden = element('small', {className: 'not-shown'},
    '· not shown below');
  const sampled = element('small');
  const alarm = element('span', {className: 'alarm'});
  const list = element('ul');
  const updateItems = keyed(list, ({key}) => key,
    () => createFinding((finding) => onGo(name, finding),
      (layer) => onLayer(name, layer)));
  sampled.append(...withCode(SAMPLED));
  return {
    node: element('section', {},
      element('h3', {}, dot, element('b', {}, runLabel(name)), alarm, summary,
        hidden, sampled), list),
    /** @param {Diagnosed} now */
    update({run, reply, isShown}, selectedKey) {
      dot.style.background = colorOf(name);
      const text = summaryOf(reply);
      if (summary.textContent !== text) summary.textContent = text;
      summary.classList.toggle('error', Boolean(reply?.problem));
      showCode(alarm, reply?.nonfinite ?? '');
      sampled.hidden = !reply?.sampled;
      hidden.hidden = isShown;
      const items = withKeys(reply?.findings ?? []);
      updateItems(items).forEach((part, index) => part.update(
        items[index].finding, items[index].key === selectedKey,
        (layer) => layerOf(run, {name: layer})));
    },
  };
}

/**
 * Returns findings with what each is known by: they may grow, and be told in
 * other numbers, and still are the same.
 */
export function withKeys(findings) {
  const counts = new Map();
  return findings.map((finding) => {
    const name = JSON.stringify([finding.kind, finding.layer]);
    counts.set(name, (counts.get(name) ?? 0) + 1);
    return {finding, key: `${name} ${counts.get(name)}`};
  });
}
