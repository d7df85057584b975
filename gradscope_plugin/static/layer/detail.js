/** One layer: histograms, norms and ratios, activations, units, facts. */

import {KINDS, createLayerData} from './layer_data.js';
import {
  NORMS, RATIOS, SHARES, SIZES, STATES, createStatisticsChart,
} from './statistics_charts.js';
import {element, keyed} from '../basics/dom.js';
import {runLabel} from '../basics/format.js';
import {createHistogramChart} from './histogram_chart.js';
import {factsOf} from './facts.js';
import {createUnitChart} from './unit_chart.js';

/** `node` goes below the heatmap of the layer's run. */
export class Detail {
  #get;
  #shown = null;
  #data = null;
  #facts = null;
  #version = '';
  #zoom = null;
  #axis = null;
  #measured = null;
  #variable = '';
  #cursor = null;
  #isDue = false;
  #charts = [];

  /** @param {{get: (url: string) => Promise<Response>, onClose: () => void,
   *     colorOf: (name: string) => string}} options */
  constructor({get, onClose, colorOf}) {
    this.#get = get;
    this.colorOf = colorOf;
    this.title = element('h3', {tabIndex: -1});
    const close = element('button', {type: 'button', className: 'close',
      onclick: onClose, title: 'Close (Escape)'}, 'close');
    this.problem = element('p', {className: 'error', role: 'status'});
    this.variables = element('select', {'aria-label': 'Variable',
      onchange: () => {
        this.#variable = this.variables.value;
        this.#fetchHistograms();
      }});
    this.noHistograms = element('p', {className: 'quiet'});
    this.facts = element('div', {className: 'facts'});
    const list = element('div', {className: 'charts'});
    this.updateCharts = keyed(list, ({key}) => key, ({create}) => create());
    this.node = element('section', {className: 'detail', role: 'region',
      'aria-label': 'Layer'},
    element('div', {className: 'detail-head'}, this.title, this.variables,
      close), this.problem, this.noHistograms, list, this.facts);
    this.node.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape') return;
      event.stopPropagation();
      onClose();
    });
  }

  /** Brings it into sight and the keyboard to it, once it is there. */
  focus() {
    this.#isDue = true;
    this.#takeFocus();
  }

  hide() {
    this.#shown = null;
    this.node.remove();
  }

  /** Shows a layer; what it has already stays until there is more. */
  update(run, layer, zoom, axis) {
    const isNew = this.#shown?.run.name !== run.name
      || this.#shown.layer !== layer;
    this.#zoom = zoom;
    const isMoved = axis !== this.#axis;
    this.#axis = axis;
    if (isNew) this.#begin(run, layer);
    this.#shown = {run, layer};
    const version = `${run.steps} ${run.last_wall_time}`;
    if (version !== this.#version) {
      this.#version = version;
      this.#fetch();
    } else if (isMoved) {
      this.#draw();
    }
    this.#takeFocus();
  }

  setZoom(zoom) {
    this.#zoom = zoom;
    if (this.#shown) this.#draw();
  }

  drawCursor(cursor) {
    this.#cursor = cursor;
    this.#charts.forEach((chart) => chart.drawCursor(cursor));
  }

  #begin(run, layer) {
    this.#data = createLayerData(this.#get, layer);
    this.#facts = this.#measured = null;
    this.#version = this.#variable = '';
    this.problem.textContent = '';
    this.title.replaceChildren('layer ', element('b', {}, layer),
      element('small', {}, ` in ${runLabel(run.name)}`));
    this.node.setAttribute('aria-label', `Layer ${layer}`);
    this.facts.replaceChildren();
    this.noHistograms.textContent = '';
    this.variables.replaceChildren();
    this.#charts = this.updateCharts([]);
  }

  #takeFocus() {
    if (!this.#isDue || !this.#shown || !this.node.isConnected) return;
    this.#isDue = false;
    this.title.focus({preventScroll: true});
    this.node.scrollIntoView({block: 'nearest'});
  }

  async #fetch() {
    const {run, layer} = this.#shown;
    const data = this.#data;
    try {
      const facts = this.#facts ?? await data.facts(run);
      if (data !== this.#data) return;
      if (!this.#facts) this.#showFacts(facts);
      this.#facts = facts;
      const [series, units] = await Promise.all([data.series(run, facts),
        Promise.all(facts.activations.map(async (name) =>
          ({name, grid: await data.units(run, name).catch(() => null)})))]);
      if (data !== this.#data) return;
      this.#measured = {...series, units, layer};
      this.problem.textContent = '';
      this.#draw();
      await this.#fetchHistograms();
    } catch (error) {
      if (data === this.#data) this.problem.textContent = error.message;
    }
  }

  #showFacts(facts) {
    this.facts.replaceChildren(element('h4', {}, 'configuration'),
      ...factsOf(facts));
    const names = facts.variables.filter(({histograms}) => histograms.length)
      .map(({name}) => name);
    this.#variable = names[0] ?? '';
    this.variables.hidden = names.length < 2;
    this.variables.replaceChildren(...names.map((name) =>
      element('option', {value: name}, name)));
    this.noHistograms.textContent = names.length || !facts.variables.length
      ? '' : 'This layer has no histograms. By default they are recorded '
        + 'every 100 steps, and less often later; gradscope.wrap(…, '
        + 'histograms=, include=) chooses steps and layers.';
  }

  async #fetchHistograms() {
    const variable = this.#facts.variables.find(({name}) =>
      name === this.#variable);
    const {run} = this.#shown ?? {};
    if (!variable || !run) return;
    const data = this.#data;
    const histograms = await Promise.all(KINDS.map(async (kind) => ({kind,
      matrix: variable.histograms.includes(kind)
        ? await data.histogram(run, variable.name, kind).catch(() => null)
        : null})));
    if (data !== this.#data || variable.name !== this.#variable) return;
    this.#measured.histograms = histograms.filter(({matrix}) => matrix);
    this.#draw();
  }

  /** Returns the parts of the name of a saved file. */
  #name = () => [runLabel(this.#shown.run.name), this.#shown.layer];

  #draw() {
    if (!this.#measured) return;
    const items = this.#items(this.#measured);
    this.#charts = this.updateCharts(items);
    this.#charts.forEach((chart, index) => {
      chart.update(items[index].data, this.#zoom, this.#axis);
      chart.drawCursor(this.#cursor);
    });
  }

  #items({ofLayer, activations, states, units, histograms = []}) {
    const chart = (kind, prefix, data, key) => ({key, data,
      create: () => createStatisticsChart(kind, prefix, this.#name)});
    const last = (name) => `${name.slice(name.lastIndexOf('/') + 1)}: `;
    return [
      ...histograms.map(({kind, matrix}) => ({key: `h ${kind}`, data: matrix,
        create: () => createHistogramChart({title: `histogram of ${kind}`,
          nameOf: () => [...this.#name(), this.#variable, kind]})})),
      ...ofLayer ? [chart(RATIOS, '', ofLayer, 'ratios'),
        chart(NORMS, '', ofLayer, 'norms')] : [],
      ...units.filter(({grid}) => grid).map(({name, grid}) => ({
        key: `u ${name}`, data: grid, create: () => createUnitChart(
          {title: `${last(name)}units by steps`,
            nameOf: () => [...this.#name(), 'units']})})),
      ...activations.flatMap((series) => [
        chart(SHARES, last(series.name), series, `shares ${series.name}`),
        chart(SIZES, last(series.name), series, `sizes ${series.name}`)]),
      ...states.map((series) => chart(STATES, last(series.name), series,
        `state ${series.name}`)),
    ];
  }
}
