/** One finding: what, where and since when; and behind a click, why. */

import {withCode, withCopies} from '../basics/code.js';
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
 * <li class="finding error">
 *   <button class="go"><i class="sign error">×</i><b>error:</b>
 *     vanishing-gradient in <b>dense_1</b>, since step 340
 *     <span class="what">The gradient of dense_1 is …</span></button>
 *   <details><summary>why, what to do</summary>
 *     <p><b>Why</b> …</p><p><b>What to do</b> …</p>
 *     <table>…</table></details>
 * </li>
 */
export function createFinding(onGo) {
  let finding = null;
  let shown = '';
  const head = element('span', {className: 'head'});
  const what = element('span', {className: 'what'});
  const go = element('button', {type: 'button', className: 'go',
    title: 'Show it in the heatmap', onclick: () => onGo(finding)}, head, what);
  const more = element('div', {className: 'more'});
  const details = element('details', {},
    element('summary', {}, MORE), more);
  const node = element('li', {}, go, details);
  details.addEventListener('toggle', () => {
    if (details.open) node.scrollIntoView({block: 'nearest'});
  });
  return {
    node,

    /** Fills in what has changed: what is open stays so. */
    update(now, isChosen) {
      finding = now;
      node.className = `finding ${now.severity}`;
      node.classList.toggle('chosen', isChosen);
      go.setAttribute('aria-current', isChosen);
      const text = JSON.stringify(now);
      if (text === shown) return;
      shown = text;
      head.replaceChildren(sign(now.severity), ...headOf(now));
      what.replaceChildren(...withCode(now.what), '.');
      details.firstChild.setAttribute('aria-label',
        `${MORE}: ${now.kind} in ${now.layer ?? 'the run'}`);
      more.replaceChildren(...moreOf(now));
    },
  };
}

/** @param {any} finding */
function headOf({severity, kind, layer, ...when}) {
  return [element('b', {className: 'severity'}, `${severity}: `),
    element('b', {}, kind),
    ...layer === null ? [] : [' in ', element('b', {}, layer)],
    element('small', {}, `, ${sinceText(when)}`)];
}

function moreOf({cause, remedy, evidence}) {
  const told = [['Why', withCode(cause)], ['What to do', withCopies(remedy)]];
  const rows = evidenceRows(evidence);
  return [
    ...told.filter(([, nodes]) => nodes.length).map(([title, nodes]) =>
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
