/** The strip above the heatmaps: findings, loss, metrics and rates by step. */

import {createLane} from './lane.js';
import {lanesOf, skippedSteps} from './lanes.js';
import {packed} from './spans.js';
import {element, foldable, keyed} from '../basics/dom.js';
import {runLabel} from '../basics/format.js';
import {listen} from '../heatmap/gestures.js';
import {middleOf} from '../scales/step_axis.js';
import {WHOLE, panSteps, placesSeen, zoomSteps} from '../scales/viewport.js';

// The height of a span of a finding and the gap below, in pixels.
const SPAN = 8;

/** Returns a name that breaks where one of its words ends. */
const breakable = (name) => name.split(/(?<=_)/).flatMap((word) =>
  [word, element('wbr')]);

/** `node` goes above the heatmaps. */
export class Strip {
  #actions;
  #texts = element('small');
  #numbers = element('small', {className: 'numbers'});
  #metric = element('select', {'aria-label': 'Metric'});
  #body = element('div', {className: 'lanes'});
  #spans = element('div', {className: 'spans', 'aria-hidden': 'true'});
  #list = element('div');
  #updateLanes;
  #now = null;
  #parts = [];
  #cursor = null;
  #fold;

  /**
   * @param {{onStep: (step: number) => void, onZoom: (zoom: Object) => void,
   *     onFoldStrip: (folded: boolean) => void,
   *     onMetric: (name: string) => void,
   *     onFinding: (run: string, key: string) => void}} actions
   */
  constructor(actions) {
    this.#actions = actions;
    this.#body.append(element('div', {className: 'lane'},
      element('div', {className: 'lane-title'}, element('b', {}, 'findings')),
      this.#spans), this.#list);
    this.node = element('details', {className: 'strip', open: true},
      element('summary', {}, element('h2', {}, 'Training'), this.#texts,
        this.#metric, this.#numbers), this.#body);
    this.#fold = foldable(this.node, actions.onFoldStrip);
    this.#metric.addEventListener('change', () =>
      actions.onMetric(this.#metric.value));
    this.#updateLanes = keyed(this.#list, ({name, title}) => `${name} ${title}`,
      ({name, title}) => this.#createLane(name, title));
    new ResizeObserver(() => this.#draw()).observe(this.#body);
  }

  #createLane(name, title) {
    const lane = createLane(element('b', {}, ...breakable(title)), name);
    const place = (event) => {
      const box = lane.area.getBoundingClientRect();
      return this.#placeAt((event.clientX - box.left) / box.width);
    };
    const {onStep, onZoom} = this.#actions;
    lane.area.addEventListener('pointermove', (event) => {
      const {axis} = this.#now;
      onStep(Math.max(0, Math.min(axis.last, Math.floor(
        axis.step(place(event)) + 1e-9))));
    });
    listen(lane.area, {
      zoomSteps: (share, factor) => onZoom(zoomSteps(this.#now.zoom,
        this.#now.axis, this.#placeAt(share), factor)),
      zoomRows: () => {},
      pan: (x) => {
        const {zoom, axis} = this.#now;
        const [from, to] = placesSeen(zoom, axis);
        onZoom(panSteps(zoom, axis, x * (to - from)));
        return Boolean(zoom.steps);
      },
      reset: () => onZoom(WHOLE),
      click: () => {},
      hint: () => {},
    });
    return lane;
  }

  #placeAt(share) {
    const [from, to] = placesSeen(this.#now.zoom, this.#now.axis);
    return from + share * (to - from);
  }

  /**
   * @param {{runs: {name: string, color: string, curves: Object}[],
   *     spans: {run: string, key: string, title: string, severity: string,
   *     from: number, to: number}[], axis: Object, zoom: Object,
   *     metric: string, folded: boolean, isWide: boolean,
   *     isAwaited: boolean}} now awaited curves have room, so that they move
   *     nothing that is below them
   */
  update(now) {
    const {lanes, metrics, texts} = lanesOf(now.runs, now.metric);
    this.#now = {...now, lanes};
    this.node.hidden = !lanes.length && !now.spans.length && !now.isAwaited;
    this.node.classList.toggle('awaited', now.isAwaited);
    this.node.classList.toggle('without-flow', now.isWide);
    this.#fold(now.folded);
    this.#texts.textContent = texts.join(' · ');
    this.#numbers.hidden = !lanes.length;
    this.#metric.hidden = metrics.length < 2;
    if (metrics.join() !== [...this.#metric.options].map(
      ({value}) => value).join()) {
      this.#metric.replaceChildren(...metrics.map((name) =>
        element('option', {value: name}, name)));
    }
    this.#metric.value = lanes.find(({name}) => name === 'metric')?.title ?? '';
    this.#parts = this.#updateLanes(lanes);
    this.#draw();
  }

  setZoom(zoom) {
    if (!this.#now) return;
    this.#now.zoom = zoom;
    this.#draw();
  }

  /** Shows the cursor's step. */
  drawCursor(cursor) {
    this.#cursor = cursor;
    this.#numbers.textContent = cursor ? `at step ${cursor.step}` : 'at the end';
    this.#parts.forEach((part) => part.drawCursor(cursor?.step ?? null,
      this.#shareOf, cursor?.run));
  }

  #shareOf = (step) => {
    const [from, to] = placesSeen(this.#now.zoom, this.#now.axis);
    return (middleOf(this.#now.axis, step) - from) / (to - from);
  };

  #draw() {
    if (!this.#now || !this.node.open) return;
    this.#drawSpans();
    const {lanes, runs} = this.#now;
    this.#parts.forEach((part, index) => {
      const skipped = lanes[index].name === 'loss_scale'
        ? runs.flatMap(({curves}) => skippedSteps(curves)) : [];
      part.draw(lanes[index], this.#shareOf, skipped);
    });
    this.drawCursor(this.#cursor);
  }

  #drawSpans() {
    const {axis, zoom, spans} = this.#now;
    const [from, to] = placesSeen(zoom, axis);
    const share = (place) => Math.max(0, Math.min(100,
      100 * (place - from) / (to - from)));
    const places = packed(spans.map((span) => ({...span,
      from: axis.place(span.from), to: axis.place(span.to + 1)})));
    this.#spans.parentElement.hidden = !spans.length;
    const rows = Math.max(0, ...places.map(({row}) => row + 1));
    this.#spans.style.height = `${rows * SPAN + 2}px`;
    this.#spans.replaceChildren(...places.map(({span, row}) => {
      const node = element('i', {className: `span ${span.severity}`,
        title: `${runLabel(span.run)}: ${span.title}`,
        onclick: () => this.#actions.onFinding(span.run, span.key)});
      const left = share(span.from);
      Object.assign(node.style, {left: `${left}%`, top: `${row * SPAN + 1}px`,
        width: `${share(span.to) - left}%`});
      return node;
    }));
  }
}
