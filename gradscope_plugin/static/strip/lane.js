/** One lane of the strip: a line for each run, numbers at the cursor. */

import {columnOf} from '../scales/axis.js';
import {element} from '../basics/dom.js';
import {runLabel, short} from '../basics/format.js';

// The height of what marks NaN, and of a line of numbers, in pixels.
const NAN_HEIGHT = 6;
const TEXT = 13;

/* <div class="lane"><div class="lane-title"><b>loss</b><small>2.3</small>
 *   <small>0.1</small></div><div class="lane-area" role="img"><canvas/><i/></div>
 *   <div class="lane-values"><span>● 0.31</span></div></div> */
export function createLane(title, kind) {
  const high = element('small', {className: 'high'});
  const low = element('small', {className: 'low'});
  const canvas = element('canvas', {'aria-hidden': 'true'});
  const line = element('i', {className: 'lane-line', hidden: true});
  const values = element('div', {className: 'lane-values'});
  const area = element('div', {className: 'lane-area', role: 'img'},
    canvas, line);
  const name = element('div', {className: 'lane-title'}, title, high, low);
  const node = element('div', {className: `lane ${kind}`}, name, area, values);
  let height = 0;
  let lane = null;
  return {
    node, area,

    /**
     * @param {import('./lanes.js').Lane} now
     * @param {(step: number) => number} shareOf where a step lies, as a share
     * @param {number[]} skipped steps
     */
    draw(now, shareOf, skipped) {
      lane = now;
      height = area.clientHeight;
      const {ends: [bottom, top], most} = now.scale;
      // What stays the same has one number, beside its line: at the bottom if it
      // is zero, and else in the middle.
      const isFlat = bottom === top && top !== 0;
      const isZero = bottom === 0 && top === 0;
      const isBeyond = most > top;
      high.textContent = isZero ? ''
        : isBeyond ? `${short(top)} ↑` : short(top);
      high.title = isBeyond ? `up to ${short(most)}, beyond this scale` : '';
      high.classList.toggle('flat', isFlat);
      low.textContent = isFlat ? ''
        : `${now.scale.kind === 'log' ? 'log ' : ''}${short(bottom)}`;
      area.setAttribute('aria-label', `${now.title}: ${
        now.lines.map(described).join('; ')}`);
      drawLines(canvas, now, shareOf, skipped);
    },

    /** @param {?number} step */
    drawCursor(step, shareOf, run) {
      if (!lane) return;
      const share = step === null ? -1 : shareOf(step);
      line.hidden = share < 0 || share > 1;
      line.style.left = `${100 * share}%`;
      values.replaceChildren(...numbersAt(lane, height, step, run));
    },
  };
}

function described({run, name, values}) {
  return `${name} of ${runLabel(run)} from ${short(values[0])} to ${
    short(values.at(-1))}`;
}

/** Returns the numbers at a step, as many as there is room for. */
function numbersAt({lines}, height, step, run) {
  const sorted = [...lines].sort((a, b) =>
    Number(b.run === run) - Number(a.run === run));
  const begun = sorted.filter(({steps}) => step === null || steps[0] <= step);
  return begun.slice(0, Math.floor(height / TEXT)).map((line) => {
    const {color, isDashed, steps, values, name} = line;
    const value = values[step === null ? values.length - 1
      : columnOf(steps, step)];
    const swatch = element('i', {className: `key ${isDashed ? 'dashed' : ''}`});
    swatch.style.borderColor = color;
    return element('span', {title: `${name} of ${runLabel(line.run)}`}, swatch,
      element('b', {className: Number.isFinite(value) ? '' : 'alarm'},
        short(value)));
  });
}

function drawLines(canvas, {lines, scale}, shareOf, skipped) {
  const {clientWidth: width, clientHeight: height} = canvas.parentElement;
  if (!width || !height) return;
  const density = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * density);
  canvas.height = Math.round(height * density);
  const context = canvas.getContext('2d');
  context.setTransform(density, 0, 0, density, 0, 0);
  const style = getComputedStyle(canvas);
  const x = (step) => shareOf(step) * width;
  const y = (value) => height - 2
    - Math.min(1.02, scale.position(value)) * (height - 5);
  context.fillStyle = style.getPropertyValue('--warning');
  skipped.forEach((step) => context.fillRect(x(step) - 1, height - 7, 3, 7));
  for (const line of lines) {
    context.strokeStyle = context.fillStyle = line.color;
    context.setLineDash(line.isDashed ? [5, 3] : []);
    drawLine(context, line, x, y, [0, width]);
    context.fillStyle = style.getPropertyValue('--error');
    drawGaps(context, line, x);
  }
}

/** Draws a line; of more numbers than pixels the smallest and the largest. */
export function drawLine(context, {steps, values, isDashed}, x, y, [left, right]) {
  context.lineWidth = 1.5;
  context.beginPath();
  let last = null;
  const flush = () => {
    if (!last) return;
    context.lineTo(last.x, last.first);
    context.lineTo(last.x, last.low);
    context.lineTo(last.x, last.high);
    context.lineTo(last.x, last.end);
  };
  for (let i = 0; i < values.length; i++) {
    const at = x(steps[i]);
    if (x(steps[i + 1] ?? steps[i]) < left || (i && x(steps[i - 1]) > right)) {
      continue;
    }
    const place = y(values[i]);
    if (!Number.isFinite(place)) {
      flush();
      last = null;
      continue;
    }
    if (last && at - last.x < 0.7) {
      last.low = Math.min(last.low, place);
      last.high = Math.max(last.high, place);
      last.end = place;
      continue;
    }
    flush();
    if (!last) context.moveTo(at, place);
    last = {x: at, first: place, low: place, high: place, end: place};
    // A number alone, or an epoch's, is a dot.
    if (isDashed || values.length === 1) context.fillRect(at - 2, place - 2, 4, 4);
  }
  flush();
  context.stroke();
}

/** Marks at the top where a line is NaN or infinite. */
export function drawGaps(context, {steps, values}, x) {
  let from = null;
  for (let i = 0; i <= values.length; i++) {
    const isGap = i < values.length && !Number.isFinite(values[i]);
    if (isGap) from ??= i;
    if (isGap || from === null) continue;
    const [left, right] = [steps[from], steps[Math.min(i, values.length - 1)]]
      .map(x);
    context.fillRect(left, 0, Math.max(2, right - left), NAN_HEIGHT);
    from = null;
  }
}
