/** The colour scale: its numbers, its marks, and the way to change it. */

import {
  ABOVE, ABSENT, BELOW, DEAD, INFINITE, KIND_NAMES, MISSING, NAN, ZERO,
  kindsIn,
} from '../data/cell_kinds.js';
import {element} from '../basics/dom.js';
import {percent, tidy} from '../basics/format.js';
import {hasInk} from './raster.js';
import {isDomain} from '../scales/scale.js';

const RULES = {
  log: 'Two numbers above 0, the smaller one first.',
  linear: 'Two numbers, the smaller one first.',
};

// Cells with an outline are those of a finding.
const OUTLINES = [['error', 'an error'], ['warning', 'a warning'],
  ['note', 'a note'], ['error chosen', 'the finding that was clicked']];

// Widths of the ramp with much and with little room, and of a letter below it.
const WIDE = 150;
const NARROW = 96;
const LETTER = 6.5;

/**
 * Returns which of some texts can stand beside each other: 1 is all of them, 2
 * each second one.
 * @param {string[]} texts
 * @param {number[]} places of their middles, from 0 to 1
 * @param {number} width in pixels
 * @param {number} unit what the answer is a multiple of
 */
export function everyThatFits(texts, places, width, unit = 1) {
  const fits = (stride) => texts.every((text, i) => {
    if (i % stride || i + stride >= texts.length) return true;
    const letters = (text.length + texts[i + stride].length) / 2 + 1;
    return (places[i + stride] - places[i]) * width >= letters * LETTER;
  });
  let stride = unit;
  while (!fits(stride)) stride += unit;
  return stride;
}

/** Returns the numbers below the ramp; `spare` are those that little room has
 * no place for. */
function ticksOf({ticks, position}) {
  const inner = ticks.slice(1, -1);
  const texts = inner.map(tidy);
  const places = inner.map(position);
  const stride = everyThatFits(texts, places, WIDE);
  const narrow = everyThatFits(texts, places, NARROW, stride);
  return texts.flatMap((text, i) => {
    if (i % stride) return [];
    const tick = element('span', {className: i % narrow ? 'spare' : ''}, text);
    tick.style.left = `${100 * places[i]}%`;
    return [tick];
  });
}

/** Returns the marks that cells of a statistic can have. */
function kindsOf({rows, scale, marksDead}) {
  const range = [BELOW, ABOVE];
  if (rows === 'units') return [...marksDead ? [DEAD] : [], ABSENT, ...range];
  return [...scale === 'log' ? [ZERO] : [], NAN, INFINITE,
    ...rows ? [] : [MISSING], ABSENT, ...range];
}

/**
 * @param {{onDomain: (domain: number[]) => void, onFit: () => void,
 *     onReset: () => void, onFix?: () => void}} actions
 * @return {{node: Element, update: Function}}
 */
export function createLegend({onDomain, onFit, onReset, onFix = () => {}}) {
  let kind = 'log';
  // What was drawn last; and whether what was typed since is no scale.
  let drawn = '';
  let isRefused = false;
  const forgetting = (call) => () => {
    isRefused = false;
    call();
  };
  const dom = build(forgetting(onFit), forgetting(onReset), forgetting(onFix));
  const change = () => {
    const domain = dom.ends.map((input) => Number(input.value));
    const valid = isDomain(domain, kind);
    dom.ends.forEach((input) => input.setAttribute('aria-invalid',
      String(!valid)));
    isRefused = !valid;
    if (valid) onDomain(domain);
    else dom.status.textContent = RULES[kind];
  };
  dom.ends.forEach((input) => input.addEventListener('change', change));
  return {
    node: dom.node,

    /** Shows a scale and how many of the cells shown lie outside of it. */
    update({description, scale, look, count, isDefault, isFitted = false}) {
      kind = scale.kind;
      // Numbers that arrive do not take away what is said of wrong ones.
      const now = `${kind} ${scale.domain}`;
      isRefused = isRefused && now === drawn;
      drawn = now;
      paint(dom.ramp, look.palette);
      dom.ends.forEach((input, index) => {
        if (!isRefused) {
          if (input !== document.activeElement) {
            input.value = tidy(scale.domain[index]);
          }
          input.setAttribute('aria-invalid', 'false');
        }
        dom.words[index].textContent = description.ends[index];
      });
      dom.ticks.replaceChildren(...ticksOf(scale));
      dom.reset.hidden = isDefault;
      dom.fix.hidden = !isFitted;
      dom.fit.hidden = isFitted;
      if (!isRefused) {
        // Where there is little room it is cut, and all of it on demand.
        dom.status.textContent = dom.status.title = describeOutside(count);
      }
      dom.marks.replaceChildren(
        ...kindsOf(description).map((k) => mark(k, look)),
        ...OUTLINES.map(outline));
    },
  };
}

/* <div class="legend">vanishing <input> <div class="ramp">…</div> <input>
 *   exploding <button>fit</button> <span>3 % above this scale</span>
 *   <details><summary>marks</summary><ul><li>exactly zero</li>…</ul></details>
 * </div> */
function build(onFit, onReset, onFix) {
  const dom = {
    words: [element('span'), element('span')],
    ends: [end('smallest colour'), end('largest colour')],
    ramp: element('canvas', {width: 256, height: 1, 'aria-hidden': 'true'}),
    ticks: element('div', {className: 'ticks', 'aria-hidden': 'true'}),
    reset: element('button', {type: 'button', onclick: onReset,
      title: 'Reset to the default scale of this statistic'}, 'reset'),
    fit: element('button', {type: 'button', onclick: onFit,
      title: 'Fit the scale to the runs shown'}, 'fit'),
    fix: element('button', {type: 'button', onclick: onFix,
      title: 'Fitted, as all would be of one colour on the fixed scale of this '
        + 'statistic: have that'}, 'fitted; fixed scale'),
    status: element('span', {role: 'status'}),
    marks: element('ul'),
  };
  dom.node = element('div', {className: 'legend', role: 'group',
    'aria-label': 'Colour scale'},
  dom.words[0], dom.ends[0],
  element('div', {className: 'ramp'}, dom.ramp, dom.ticks),
  dom.ends[1], dom.words[1], dom.fit, dom.fix, dom.reset, dom.status,
  element('details', {className: 'marks-legend'},
    element('summary', {}, 'marks'), dom.marks));
  return dom;
}

function end(label) {
  return element('input', {type: 'text', inputMode: 'decimal',
    'aria-label': label, title: label, spellcheck: false});
}

function paint(canvas, palette) {
  const context = canvas.getContext('2d');
  const image = context.createImageData(256, 1);
  for (let entry = 0; entry < 256; entry++) {
    image.data.set([...palette.subarray(3 * entry, 3 * entry + 3), 255],
      4 * entry);
  }
  context.putImageData(image, 0, 0);
}

/** Returns a kind's colour and pattern, as in the heatmap. */
function swatchOf(kind, {marks, palette, patterns}) {
  const swatch = element('canvas', {width: 14, height: 12,
    'aria-hidden': 'true'});
  const context = swatch.getContext('2d');
  const image = context.createImageData(14, 12);
  const plain = kind === BELOW ? palette.subarray(0, 3)
    : kind === ABOVE ? palette.subarray(-3) : marks[kind];
  for (let pixel = 0; pixel < 14 * 12; pixel++) {
    const isInk = hasInk(kind, pixel % 14, Math.floor(pixel / 14));
    image.data.set([...isInk ? patterns[kind] : plain, 255], 4 * pixel);
  }
  context.putImageData(image, 0, 0);
  return swatch;
}

const mark = (kind, look) =>
  element('li', {}, swatchOf(kind, look), KIND_NAMES[kind]);

/** What the cells of one heatmap are that are no number; `node` is in its
 * title, since the legend of all kinds is folded. */
export function createKinds() {
  const node = element('span', {className: 'kinds'});
  let drawn = {kinds: '', look: null};
  return {
    node,
    update(grid, look) {
      const kinds = grid?.kinds ? kindsIn(grid) : [];
      // Dark pages have another look.
      if (drawn.kinds === `${kinds}` && drawn.look === look) return;
      drawn = {kinds: `${kinds}`, look};
      node.replaceChildren(...kinds.map((kind) => element('span', {},
        swatchOf(kind, look), KIND_NAMES[kind])));
    },
  };
}

/** The outline of a finding, as in the heatmap. */
function outline([severity, text]) {
  return element('li', {}, element('i', {
    className: `mark ${severity}`, 'aria-hidden': 'true'}), text);
}

function describeOutside({below, above, numbers}) {
  const parts = [];
  if (below) parts.push(`${percent(below / numbers)} below`);
  if (above) parts.push(`${percent(above / numbers)} above`);
  return parts.length ? `${parts.join(', ')} this scale` : '';
}
