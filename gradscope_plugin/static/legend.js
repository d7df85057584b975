/** The colour scale: its numbers, its marks, and the way to change it. */

import {ABSENT, INFINITE, KIND_NAMES, MISSING, NAN, ZERO} from './cells.js';
import {element} from './dom.js';
import {percent, tidy} from './format.js';
import {stripes} from './heatmap.js';

const KINDS = [ZERO, NAN, INFINITE, MISSING, ABSENT];

/**
 * @param {{onDomain: (domain: number[]) => void, onFit: () => void,
 *     onReset: () => void}} actions
 * @return {{node: Element, update: Function}}
 */
export function createLegend({onDomain, onFit, onReset}) {
  const ends = [end('smallest colour'), end('largest colour')];
  const bar = element('canvas', {width: 256, height: 1, 'aria-hidden': 'true'});
  const ticks = element('div', {className: 'ticks', 'aria-hidden': 'true'});
  const words = [element('span'), element('span')];
  const problem = element('span', {role: 'status'});
  const marks = element('ul');
  const fit = element('button', {type: 'button', onclick: onFit,
    title: 'Take the scale from the runs shown'}, 'fit');
  const reset = element('button', {type: 'button', onclick: onReset,
    title: 'Back to this statistic’s own scale'}, 'reset');
  let scaleKind = 'log';
  const change = () => {
    const domain = ends.map((input) => Number(input.value));
    const valid = domain[0] < domain[1] && domain.every(Number.isFinite)
      && (scaleKind !== 'log' || domain[0] > 0);
    ends.forEach((input) => input.setAttribute('aria-invalid', !valid));
    if (valid) onDomain(domain);
    else problem.textContent = scaleKind === 'log'
      ? 'Two numbers above 0, the smaller one first.'
      : 'Two numbers, the smaller one first.';
  };
  ends.forEach((input) => input.addEventListener('change', change));
  const node = element('div', {className: 'legend', role: 'group',
    'aria-label': 'Colour scale'},
  words[0], ends[0], element('div', {className: 'ramp'}, bar, ticks),
  ends[1], words[1], fit, reset, problem, marks);

  return {
    node,

    /** Shows a scale and how many of the cells shown lie outside of it. */
    update({description, scale, look, count, isDefault}) {
      scaleKind = description.scale;
      paint(bar, look.palette);
      ends.forEach((input, index) => {
        if (input !== document.activeElement) {
          input.value = tidy(scale.domain[index]);
        }
        input.setAttribute('aria-invalid', 'false');
        words[index].textContent = description.ends[index];
      });
      ticks.replaceChildren(...scale.ticks.slice(1, -1).map((value) => {
        const tick = element('span', {}, tidy(value));
        tick.style.left = `${100 * scale.position(value)}%`;
        return tick;
      }));
      reset.hidden = isDefault;
      problem.textContent = describeOutside(count);
      const kinds = KINDS.filter((k) => k !== ZERO || scaleKind === 'log');
      marks.replaceChildren(...kinds.map((kind) => mark(kind, look.marks)));
    },
  };
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

function mark(kind, marks) {
  const swatch = element('canvas', {width: 14, height: 12,
    'aria-hidden': 'true'});
  const context = swatch.getContext('2d');
  context.fillStyle = `rgb(${marks[kind]})`;
  context.fillRect(0, 0, 14, 12);
  if (kind === NAN) {
    context.fillStyle = stripes(context);
    context.fillRect(0, 0, 14, 12);
  }
  return element('li', {}, swatch, KIND_NAMES[kind]);
}

function describeOutside({below, above, numbers}) {
  const parts = [];
  if (below) parts.push(`${percent(below / numbers)} below`);
  if (above) parts.push(`${percent(above / numbers)} above`);
  return parts.length ? `${parts.join(', ')} this scale` : '';
}
