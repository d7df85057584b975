/** The left column: runs as cards, the worst first; filter, pins, status. */

import {element, keyed} from '../basics/dom.js';
import {showCode} from '../basics/code_in_text.js';
import {countsOf, counted} from '../findings/text.js';
import {sign} from '../findings/finding.js';
import {duration, runLabel} from '../basics/format.js';
import {createThumbnail} from './thumbnail.js';

/**
 * @param {{onFilter: Function, onCheck: Function, onOpen: Function,
 *     onPin: Function, onCompare: Function, onAll: Function,
 *     onSeen: (node: Element, name: string) => void}} actions
 */
export function createCards(actions) {
  const filter = element('input', {type: 'search', spellcheck: false,
    placeholder: 'filter, a regular expression',
    'aria-label': 'Filter runs by a regular expression',
    'aria-describedby': 'filter-error',
    oninput: () => actions.onFilter(filter.value)});
  const error = element('p', {id: 'filter-error', className: 'error',
    role: 'status'});
  const all = element('button', {type: 'button', hidden: true,
    onclick: actions.onAll}, '← all runs');
  const list = element('ul', {'aria-label': 'Runs, worst first'});
  const status = element('footer');
  const updateItems = keyed(list, ({run}) => run.name,
    ({run}) => card(run, actions));
  return {
    node: element('aside', {className: 'runs', 'aria-label': 'Runs'},
      element('div', {className: 'runs-head'}, element('h1', {}, 'Runs'), all),
      filter, error, list, status),

    /** @param {{items: Object[], problem: string, text: string,
     *     lines: string[], pins: string[], comparing: boolean,
     *     isAlone: boolean}} now */
    update({items, problem, text, lines, pins, comparing, isAlone}) {
      if (filter !== document.activeElement) filter.value = text;
      filter.setAttribute('aria-invalid', String(Boolean(problem)));
      error.textContent = problem;
      all.hidden = !isAlone;
      updateItems(items).forEach((item, index) => item.update(items[index],
        pins.at(-1) === items[index].run.name
          ? {isPair: pins.length > 1, comparing} : null));
      replaceTexts(status, lines);
    },
  };
}

function replaceTexts(node, lines) {
  if ([...node.children].map((p) => p.textContent).join() === lines.join()) {
    return;
  }
  node.replaceChildren(...lines.map((line) => element('p', {}, line)));
}

/* <li class="card"><input type="checkbox"><button class="open">● name</button>
 *   <p class="alarm">loss is NaN since step 2, first at mse</p>
 *   <canvas><p class="verdict">× 2 errors</p><button class="pin">pin</button>
 *   <small>85 steps</small></li> */
function card(run, {onCheck, onOpen, onPin, onCompare, onSeen}) {
  const label = runLabel(run.name);
  const box = element('input', {type: 'checkbox',
    'aria-label': `Show ${label}`, title: 'Show this run with the others',
    onchange: () => onCheck(run.name, box.checked)});
  const dot = element('span', {className: 'dot'});
  const open = element('button', {type: 'button', className: 'open',
    title: `Show only ${run.name}`, onclick: () => onOpen(run.name)},
  dot, element('span', {className: 'name'}, label));
  const pin = element('button', {type: 'button', className: 'pin',
    'aria-label': `Pin ${label} to compare`, title: 'Pin two runs to compare',
    onclick: () => onPin(run.name)}, 'pin');
  const compare = element('button', {type: 'button', className: 'compare',
    onclick: onCompare});
  const picture = createThumbnail();
  const verdict = element('p', {className: 'verdict'});
  const alarm = element('p', {className: 'alarm'});
  const detail = element('small');
  const node = element('li', {className: 'card'},
    element('div', {className: 'card-head'}, box, open), alarm,
    element('div', {className: 'card-facts'}, picture.node, verdict, pin),
    compare, detail);
  onSeen(node, run.name);
  let shownText = '';
  return {
    node,
    update({run: now, isShown, isAlone, isPinned, color, reply, grid, look},
        pinnedLast) {
      box.checked = isShown;
      dot.style.background = color;
      open.setAttribute('aria-pressed', String(isAlone));
      pin.setAttribute('aria-pressed', String(isPinned));
      node.classList.toggle('alone', isAlone);
      node.classList.toggle('nonfinite', Boolean(reply?.nonfinite));
      showCode(alarm, reply?.nonfinite ?? '');
      showCompare(compare, pinnedLast);
      picture.node.hidden = Boolean(now.error);
      if (grid) picture.update(grid, look);
      const text = JSON.stringify([now.error, reply?.findings.length,
        reply?.problem, reply && countsOf(reply.findings)]);
      if (text !== shownText) verdict.replaceChildren(...verdictOf(now, reply));
      shownText = text;
      const line = now.error ? 'cannot be read' : summary(now);
      if (detail.textContent !== line) detail.textContent = line;
      detail.classList.toggle('error', Boolean(now.error));
    },
  };
}

/** Beside the pin that was set last: what can be done with the pins. */
function showCompare(button, pinned) {
  button.hidden = !pinned;
  if (!pinned) return;
  button.disabled = !pinned.isPair;
  button.textContent = !pinned.isPair ? 'pin another run to compare'
    : pinned.comparing ? 'end the comparison' : 'compare the pinned runs';
  button.setAttribute('aria-pressed', String(pinned.comparing));
}

function verdictOf(run, reply) {
  if (run.error) return [];
  if (!reply) {
    return [pending(run.earlier_in ? 'diagnosed if shown'
      : 'being diagnosed…')];
  }
  if (reply.problem) return [pending('not diagnosed')];
  const counts = countsOf(reply.findings);
  if (!counts.length) {
    return [element('span', {className: 'healthy'}, sign('none'),
      'nothing found')];
  }
  return counts.map(({severity, count}) => element('span',
    {className: severity}, sign(severity), counted(count, severity)));
}

const pending = (text) => element('span', {className: 'pending'}, text);

function summary({steps, last_wall_time: wallTime}) {
  const age = duration(Date.now() / 1000 - wallTime);
  return `${steps} step${steps === 1 ? '' : 's'} · last ${age} ago`;
}
