/** The elements of one run's heatmap. */

import {changesOf, middleOf, ticksOf} from '../scales/step_axis.js';
import {element} from '../basics/dom.js';
import {tidy} from '../basics/format.js';
import {createKinds} from './legend.js';
import {createOverlay} from './outlines.js';

/*
 * <section class="heatmap">
 *   <h2><span class="dot"></span><b>run</b>
 *     <span class="alarm">loss is NaN since step 2, first at mse</span>
 *     <small>caption</small>
 *     <small class="alarm">7 of 64 dead at step 390</small>
 *     <span class="kinds"><span><canvas/>exactly zero</span>…</span>
 *     <span class="value">value at the cursor</span></h2>
 *   <div class="tools"><button>fold all</button> <button>PNG</button>…</div>
 *   <p class="message"></p>
 *   <div class="plot">
 *     <i class="spacer"/>
 *     <div class="names"><span>dense_1</span>…</div>
 *     <div class="cells" tabindex="0"><canvas></canvas><i/><i/></div>
 *     <div class="marks"><i class="mark error"/></div>
 *     <div class="flow"><canvas></canvas></div>
 *     <div class="axis"><span>step 0</span>…</div>
 *     <div class="flow-axis"><span>1e-8</span>…</div>
 *   </div>
 * </section>
 */
export function build(actions) {
  const tool = (label, title, onclick) => element('button',
    {type: 'button', title, onclick}, label);
  const dom = {
    dot: element('span', {className: 'dot'}),
    name: element('b'),
    caption: element('small'),
    finding: element('small'),
    kinds: createKinds(),
    value: element('span', {className: 'value'}),
    alarm: element('span', {className: 'alarm'}),
    earlierText: element('span'),
    earlierShow: tool('show them', 'Show the earlier training', null),
    message: element('p', {className: 'message'}),
    names: element('div', {className: 'names', 'aria-hidden': 'true'}),
    canvas: element('canvas'),
    line: element('i', {className: 'line', hidden: true}),
    box: element('i', {className: 'box', hidden: true}),
    hint: element('p', {className: 'wheel-hint', hidden: true},
      'Ctrl + wheel zooms steps, Alt + wheel rows; drag moves'),
    marks: createOverlay(),
    axis: element('div', {className: 'axis', 'aria-hidden': 'true'}),
    flowCanvas: element('canvas'),
    flowAxis: element('div', {className: 'flow-axis', 'aria-hidden': 'true'}),
    flowTitle: element('small', {className: 'flow-title'}),
    fold: tool('unfold all', 'Show every row, or fold the rows into blocks',
      actions.foldAll),
    byDepth: tool('by depth', 'Show the curve by depth with names and room',
      actions.byDepth),
    wholeRun: tool('whole run', 'Zoom out to all steps and rows (key 0)',
      actions.reset),
  };
  dom.flow = element('div', {className: 'flow', 'aria-hidden': 'true'},
    dom.flowCanvas);
  // Not "img" or "grid": screen readers would keep the arrow keys of these
  // to themselves.
  dom.cells = element('div', {className: 'cells', tabIndex: 0,
    role: 'application', 'aria-roledescription': 'heatmap'},
  dom.canvas, dom.line, dom.box, dom.hint);
  dom.plot = element('div', {className: 'plot'},
    element('i', {className: 'spacer'}), dom.names, dom.cells, dom.marks.node, dom.flow, dom.axis, dom.flowAxis);
  dom.tools = element('div', {className: 'tools', hidden: true},
    dom.byDepth, dom.fold, dom.wholeRun,
    tool('−', 'Zoom out in steps (key −)', () => actions.zoom(1 / 0.6)),
    tool('+', 'Zoom in on the cursor’s step (key +)',
      () => actions.zoom(0.6)),
    tool('PNG', 'Save this picture', actions.png),
    tool('CSV', 'Save all numbers of this picture', actions.csv));
  dom.earlier = element('p', {className: 'earlier', hidden: true},
    dom.earlierText, dom.earlierShow);
  dom.title = element('h2', {}, dom.dot, dom.name, dom.alarm, dom.caption,
    dom.finding, dom.kinds.node, dom.value);
  dom.more = element('div', {className: 'more-of-run'});
  dom.node = element('section', {className: 'heatmap'},
    element('div', {className: 'heatmap-head'}, dom.title, dom.flowTitle,
      dom.tools), dom.earlier, dom.message, dom.plot, dom.more);
  return dom;
}

/**
 * Labels the steps that are seen.
 * @param {HTMLElement} node
 * @param {{preview?: boolean, groups?: Object[]}} grid
 * @param {import('../scales/step_axis.js').StepAxis} axis
 * @param {number[]} span places
 * @param {number} width
 */
export function drawAxis(node, {groups, preview}, axis, span, width) {
  const share = (place) => 100 * (place - span[0]) / (span[1] - span[0]);
  const labels = ticksOf(axis, span, width).map((step, index) => {
    const label = element('span', {}, index ? String(step) : `step ${step}`);
    label.style.left = `${share(middleOf(axis, step))}%`;
    return label;
  });
  labels[0]?.classList.add('first');
  if (labels.length > 1) labels.at(-1).classList.add('last');
  const note = preview ? 'some of the steps; the others are being loaded'
    : axis.kind === 'linear' ? ''
      : groups ? 'one column per eighth of a window of examples, or more'
        : 'one column per recorded step';
  const changes = preview || groups ? [] : changesOf(axis)
    .filter(({place}) => place > span[0] && place < span[1])
    .map(({place, interval}) => {
      const mark = element('b', {},
        `every ${interval === 1 ? 'step' : interval}`);
      mark.style.left = `${share(place)}%`;
      return mark;
    });
  node.classList.toggle('noted', Boolean(note));
  node.replaceChildren(...labels, ...changes,
    element('em', {hidden: !note}, note));
}

/** Labels the ends of the flow's scale and two ticks between. */
export function drawFlowAxis(axis, scale) {
  const [low, high] = scale.domain;
  const stride = Math.ceil(scale.ticks.length / 3);
  const ticks = scale.ticks.filter((tick, index) =>
    index % stride === 0 && tick !== high);
  axis.replaceChildren(...[...new Set([low, ...ticks, high])].map((tick) => {
    const label = element('span', {}, tidy(Number(tick.toPrecision(3))));
    label.style.left = `${100 * scale.position(tick)}%`;
    return label;
  // Labels closer to those of the ends would overlap them.
  }).filter((label, index, all) => index === all.length - 1
    || parseFloat(label.style.left) < 75
    && (index === 0 || parseFloat(label.style.left) > 20)));
}
