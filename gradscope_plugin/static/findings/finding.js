/** One finding: what, where and since when; and behind a click, why. */

import {withCode, withCopies} from '../basics/code_in_text.js';
import {element} from '../basics/dom.js';
import {evidenceRows, sinceText} from './text.js';

const SIGNS = {error: '×', warning: '!', note: 'i', none: '✓'};

const MORE = 'why, what to do';

/** Returns the sign of a severity: its shape tells it without its colour. */
export function sign(severity) {
  return element('i', {className: `sign ${severity}`, 'aria-hidden': 'true'},
    SIGNS[severity]);
}

/*
 * <li class="finding error"><i class="sign error">×</i>
 *   <div class="sentence"><span class="head"><button class="go"><b>error:</b>
 *     vanishing-gradient</button> in <button class="layer"><code>dense_1</code>
 *     </button>, since step 340</span>
 *     <span class="what">The gradient of dense_1 is …</span></div>
 *   <details><summary>why, what to do</summary>
 *     <p><b>Why</b> …</p><p><b>What to do</b> …</p>
 *     <table>…</table></details>
 * </li>
 */
/**
 * @param {(finding: Object) => void} onGo
 * @param {(layer: string) => void} onLayer
 */
export function createFinding(onGo, onLayer) {
  let finding = null;
  let shown = '';
  const mark = element('span');
  const go = element('button', {type: 'button', className: 'go',
    title: 'Show it in the heatmap', onclick: () => onGo(finding)});
  const where = element('span');
  const head = element('span', {className: 'head'}, go, where);
  const sentence = element('span', {className: 'what'});
  const more = element('div', {className: 'more'});
  const details = element('details', {},
    element('summary', {}, MORE), more);
  const node = element('li', {}, mark,
    element('div', {className: 'sentence'}, head, ' ', sentence), details);
  details.addEventListener('toggle', () => {
    if (details.open) node.scrollIntoView({block: 'nearest'});
  });
  // A pointer has all of it to hit; keys have the button.
  node.addEventListener('click', ({target}) => {
    if (!(/** @type {Element} */ (target).closest('button, details'))) {
      onGo(finding);
    }
  });
  return {
    node,

    /**
     * Fills in what has changed: what is open stays so.
     * @param {Object} now
     * @param {boolean} isChosen
     * @param {(name: string) => ?string} layerOf the layer that a name is of
     */
    update(now, isChosen, layerOf) {
      finding = now;
      node.className = `finding ${now.severity}`;
      node.classList.toggle('chosen', isChosen);
      go.setAttribute('aria-current', isChosen);
      const text = JSON.stringify(now);
      if (text === shown) return;
      shown = text;
      const link = (name) => layerLink(name, layerOf(name), onLayer);
      mark.replaceChildren(sign(now.severity));
      go.replaceChildren(
        element('b', {className: 'severity'}, `${now.severity}: `),
        element('b', {}, now.kind));
      where.replaceChildren(
        ...now.layer === null ? [] : [' in ',
          link(now.layer) ?? element('code', {}, now.layer)],
        element('small', {}, `, ${sinceText(now)}`));
      sentence.replaceChildren(...withCode(now.what, link), '.');
      details.firstChild.setAttribute('aria-label',
        `${MORE}: ${now.kind} in ${now.layer ?? 'the run'}`);
      more.replaceChildren(...moreOf(now, link));
    },
  };
}

/** Returns a name that shows its layer, null if it is of none. */
function layerLink(name, layer, onLayer) {
  return layer ? element('button', {type: 'button', className: 'layer',
    title: `Show the layer ${layer}`, onclick: () => onLayer(layer)},
  element('code', {}, name)) : null;
}

function moreOf({cause, remedy, evidence}, link) {
  const sections = [['Why', withCode(cause, link)],
    ['What to do', withCopies(remedy)]];
  const rows = evidenceRows(evidence);
  return [
    ...sections.filter(([, nodes]) => nodes.length).map(([title, nodes]) =>
      element('p', {}, element('b', {}, `${title}: `), ...nodes)),
    ...rows.length ? [table(rows)] : [],
  ];
}

function table(rows) {
  const cell = (tag, text, properties) => element(tag, properties, text);
  const hasLimits = rows.some(({limit}) => limit);
  const titles = ['evidence', 'value', ...hasLimits ? ['limit'] : []];
  const head = titles.map((title) => cell('th', title, {scope: 'col'}));
  return element('table', {},
    element('thead', {}, element('tr', {}, ...head)),
    element('tbody', {}, ...rows.map(({name, value, limit}) =>
      element('tr', {}, cell('th', name, {scope: 'row'}),
        cell('td', value), ...hasLimits ? [cell('td', limit)] : []))));
}
