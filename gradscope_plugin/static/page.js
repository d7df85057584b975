/** Wires the choices, the requests and the pictures together. */

import {createCards} from './cards.js';
import {outside} from './cells.js';
import {createColors} from './colors.js';
import {lookOf} from './colormap.js';
import {COMPARED, Comparison} from './compare_view.js';
import {saveGrid, savePage, sharedLink} from './carry.js';
import {Detail} from './detail.js';
import {element} from './dom.js';
import {Findings} from './findings.js';
import {rankOf} from './finding_text.js';
import {runLabel} from './format.js';
import {Heatmaps} from './heatmaps.js';
import {linkedView, theme} from './host.js';
import {createLegend} from './legend.js';
import {createModel} from './model.js';
import {NOTICES} from './notices.js';
import {createReadout} from './readout.js';
import {fitDomain, isDomain, makeScale} from './scale.js';
import {createSight} from './sight.js';
import {
  DEFAULTS, chooseRuns, chooseStatistic, createState, statisticIn,
} from './state.js';
import {describe, grouped, statisticsOf} from './statistics.js';
import {WHOLE} from './viewport.js';
import * as views from './views.js';

// Small heatmaps tell two runs apart by one and the same scale.
const SMALL = describe('gradient_norm');

/** The whole page; `node` goes into the document. */
export class Page {
  #model;
  #state = createState(() => this.show(), undefined,
    linkedView(DEFAULTS) ?? {});
  #colors = createColors();
  // Null until the server has answered for the first time.
  #runs = null;
  #failure = '';
  #updated = 0;
  // Of each run shown: `{statistic, rows, grid, error}`, as last fetched.
  #results = new Map();
  #small = new Map();
  #look = null;
  #smallLook = null;
  // The run that was opened, until its worst finding is shown.
  #opened = '';
  #sight = createSight(() => this.show());
  // TensorBoard's order of all runs, which tells their colours.
  #named;

  /** @param {?Promise<Response>=} runs what was asked for already */
  constructor(runs = null) {
    this.#model = createModel(undefined, runs);
    this.#named = this.#nameColors();
    const set = (changes) => this.#state.set(changes);
    this.cards = createCards({
      onFilter: (filter) => set({filter}),
      onCheck: (name, checked) => set({solo: null,
        checked: {...this.#view.checked, [name]: checked}}),
      onOpen: (name) => this.#open(name),
      onAll: () => set({solo: null, comparing: false}),
      onPin: (name) => this.#pin(name),
      onCompare: () => set({comparing: !this.#view.comparing, solo: null}),
      onSeen: (node, name) => this.#sight.observe(node, `card ${name}`),
    });
    const choose = (name) => set(chooseStatistic(this.#view, name));
    this.choices = views.createChoices({
      onGroup: (group) => choose(statisticIn(this.#view, group)),
      onStatistic: choose,
      onRows: (rows) => set({rows}),
    });
    this.legend = createLegend({
      onDomain: (domain) => this.#setDomain(domain),
      onReset: () => this.#setDomain(undefined),
      onFit: () => this.#fit(),
    });
    this.readout = createReadout();
    this.notice = views.createNotice();
    this.findings = new Findings({
      colorOf: (name) => this.#colorOf(name),
      onChange: () => this.draw(),
      onFold: (folded) => {
        if (folded !== this.#view.folded) set({folded});
      },
      onStatistic: (name) => {
        this.#setZoom(WHOLE);
        if (name) choose(name);
        else this.draw();
      },
    });
    const actions = {
      onCursor: (cell, byKey) => this.#moveCursor(cell, byKey),
      onZoom: (zoom) => this.#setZoom(zoom),
      onFold: (block) => this.#fold(block),
      onPng: (node, name) => savePage(node, [this.#labelOf(name), this.#name]),
      onCsv: (name) => saveGrid(this.#gridOf(name),
        [this.#labelOf(name), this.#name, this.#view.rows]),
      onOpen: (run, row) => this.#openLayer(run, row),
      onDomain: (domain) => set(
        {domains: {...this.#view.domains, [COMPARED]: domain}}),
      onSeen: (node, name) => this.#sight.observe(node, name),
    };
    this.heatmaps = new Heatmaps(actions);
    this.comparison = new Comparison(actions);
    this.detail = new Detail({get: this.#model.get,
      colorOf: (name) => this.#colorOf(name),
      onClose: () => this.#closeLayer()});
    this.banner = element('p', {className: 'banner', role: 'status',
      hidden: true});
    const share = views.createShare({
      onLink: () => sharedLink(this.#view, DEFAULTS),
      onPicture: () => savePage(this.main, [this.#name]),
    });
    this.header = element('header', {}, share,
      this.choices.node, this.legend.node, this.readout.node);
    this.main = element('main', {}, this.findings.node, this.header,
      this.banner, this.notice.node, this.comparison.node, this.heatmaps.node);
    this.node = element('div', {className: 'page'}, this.cards.node, this.main);
  }

  /** Asks the server which runs there are, then shows them. */
  async reload() {
    try {
      const runs = await this.#model.runs();
      if (!runs) return;
      const isNew = runs !== this.#runs || this.#failure;
      if (!this.#runs) await this.#named;
      this.#colors.see(runs.map((run) => run.name));
      this.#runs = runs;
      this.#failure = '';
      this.#updated = Date.now();
      if (!isNew) {
        this.drawCards();
        return;
      }
      if (runs.length === 1 && !this.#view.cursor) {
        this.#opened = runs[0].name;
      }
    } catch (error) {
      this.#failure = error.message || 'no answer';
    }
    await this.show();
  }

  /** Fetches what the view needs; what is on the screen stays until then. */
  async show() {
    this.draw();
    const {statistic, rows} = this.#view;
    const {listed, shown} = this.#chosen();
    const readable = shown.filter((run) => !run.error);
    const seen = readable.filter((run) => this.#sight.has(run.name)
      || this.#view.comparing);
    await this.#model.grids(seen, statistic, rows, (run, grid, error) => {
      this.#results.set(run.name, {statistic, rows, grid, error});
      this.draw();
    }, (run) => Boolean(this.#result(run).grid));
    this.#drawSmall(listed);
    // A diagnosis takes seconds of a large run: the first picture comes first.
    if (readable.length && !seen.length) return;
    await this.findings.follow(this.#diagnosed(listed, readable));
  }

  /** Draws what was fetched. */
  draw() {
    const {shown} = this.#chosen();
    const {statistic, rows} = this.#view;
    const names = shown.flatMap((run) => statisticsOf(run));
    this.notice.update(this.#noticeFor(shown));
    this.#drawBanner();
    this.header.hidden = !names.length;
    // Runs without the chosen statistic say so; it must not vanish meanwhile.
    this.choices.update(
      {groups: grouped([...names, statistic]), statistic, rows});
    const scene = this.#scene(shown);
    this.findings.draw(shown.filter((run) => !run.error), this.#view.folded);
    this.heatmaps.draw(scene);
    this.comparison.draw(this.#view.comparing ? shown : [], scene);
    this.#drawMarks(shown);
    this.#drawDetail();
    this.#drawReadout(false);
    this.drawCards();
  }

  /** Shows what a link says that was followed while the page is there. */
  followLink() {
    const view = linkedView(DEFAULTS);
    if (view) this.#state.set({...DEFAULTS, ...view});
  }

  /** Whether there is no run yet; TensorBoard may still be reading them. */
  get isEmpty() {
    return !this.#runs?.length;
  }

  /** Draws the left column, whose ages grow. */
  drawCards() {
    const {listed, shown, error} = this.#chosen();
    const {filter, pins, comparing, solo} = this.#view;
    const scale = makeScale(SMALL);
    this.#smallLook = lookOf(scale, SMALL, theme(), this.#smallLook);
    this.cards.update({
      items: listed.map((run) => ({run, isShown: shown.includes(run),
        isAlone: solo === run.name, isPinned: pins.includes(run.name),
        color: this.#colorOf(run.name), reply: this.findings.of(run),
        grid: this.#small.get(run.name), look: this.#smallLook})),
      problem: error, text: filter, pins, comparing, isAlone: Boolean(solo)
        || comparing,
      lines: views.statusLines(shown, this.#updated, this.#failure)});
  }

  get #view() {
    return this.#state.view;
  }

  get #name() {
    return describe(this.#view.statistic).label;
  }

  #colorOf(name) {
    return this.#colors.of(name, theme());
  }

  #labelOf(name) {
    return name === COMPARED ? 'ratio' : runLabel(name);
  }

  /** Learns TensorBoard's order of all runs, for its colours. */
  async #nameColors() {
    try {
      const response = await this.#model.get('../../runs');
      this.#colors.see(await response.json());
    } catch {
      // An embedding without that route; the order of our own runs then.
    }
  }

  /** Returns the runs that are listed, the worst first, and those shown. */
  #chosen() {
    const {pins, comparing} = this.#view;
    const found = chooseRuns(this.#runs ?? [], this.#view, runLabel);
    const rank = (run) => rankOf(this.findings?.of(run));
    const sorted = (runs) => [...runs].sort((a, b) => rank(a) - rank(b));
    const pair = pins.map((name) => this.#runs?.find((r) => r.name === name))
      .filter((run) => run && !run.error);
    return {...found, listed: sorted(found.listed),
      shown: comparing && pair.length === 2 ? pair : sorted(found.shown)};
  }

  /** Returns the runs to diagnose, those that are shown first: the list is
   * sorted by what is found. */
  #diagnosed(listed, readable) {
    const size = (run) => run.steps * run.variables.length;
    const rest = listed.filter((run) => !run.error && !readable.includes(run)
      && (size(run) < 300_000 || this.#sight.has(`card ${run.name}`)));
    return [...readable, ...rest];
  }

  /** Returns what was fetched of a run for the present view, or nothing. */
  #result(run) {
    if (run.error) return {error: run.error};
    const result = this.#results.get(run.name);
    return result?.statistic === this.#view.statistic
      && result.rows === this.#view.rows ? result : {};
  }

  #gridOf(name) {
    if (name === COMPARED) return this.comparison.grid;
    return this.#results.get(name)?.grid;
  }

  #grids() {
    return this.#chosen().shown.flatMap((run) => this.#result(run).grid ?? []);
  }

  #scene(shown) {
    const description = describe(this.#view.statistic);
    const scale = this.#drawLegend(description);
    return {runs: shown, resultOf: (run) => this.#result(run), description,
      rows: this.#view.rows, look: this.#look, scale,
      colorOf: (name) => this.#colorOf(name), zoom: this.#view.zoom,
      unfolded: this.#view.unfolded, domain: this.#view.domains[COMPARED]};
  }

  #drawLegend(description) {
    const chosen = this.#view.domains[this.#view.statistic];
    // What an earlier version stored may not fit the statistic any more.
    const isDefault = !isDomain(chosen, description.scale);
    const scale = makeScale(
      {...description, domain: isDefault ? description.domain : chosen});
    this.#look = lookOf(scale, description, theme(), this.#look);
    this.legend.update({description, scale, look: this.#look,
      isDefault, count: outside(this.#grids(), scale)});
    return scale;
  }

  #setDomain(domain) {
    const {statistic, domains} = this.#view;
    this.#state.set({domains: {...domains, [statistic]: domain}});
  }

  #fit() {
    const {scale} = describe(this.#view.statistic);
    const domain = fitDomain(this.#grids().map((grid) => grid.values), scale);
    if (domain) this.#setDomain(domain);
  }

  #noticeFor(shown) {
    if (this.#failure && !this.#runs) {
      return {...NOTICES.unreachable, lines: [this.#failure]};
    }
    if (!this.#runs) return NOTICES.loading;
    if (!this.#runs.length) return NOTICES.noRuns;
    return shown.length ? null : NOTICES.noneChosen;
  }

  /** What was read stays while the server is away. */
  #drawBanner() {
    const isAway = Boolean(this.#failure && this.#runs);
    if (this.banner.hidden === !isAway) return;
    this.banner.hidden = !isAway;
    this.banner.textContent = isAway ? 'TensorBoard does not answer. What '
      + 'was read before is shown; it is asked again every few seconds.' : '';
  }

  async #drawSmall(listed) {
    const seen = listed.filter((run) => !run.error
      && this.#sight.has(`card ${run.name}`));
    await Promise.all(seen.map(async (run) => {
      const grid = await this.#model.thumbnail(run).catch(() => null);
      if (grid) this.#small.set(run.name, grid);
    }));
    this.drawCards();
  }

  #drawMarks(shown) {
    const kind = describe(this.#view.statistic).rows ?? this.#view.rows;
    if (this.#opened && shown.some((run) => run.name === this.#opened)) {
      this.#goToWorst(shown.find((run) => run.name === this.#opened));
    }
    for (const run of shown) {
      const {grid} = this.#result(run);
      if (!grid) continue;
      const marks = this.findings.marksOf(run, grid, kind);
      const part = this.heatmaps.of(run.name);
      part.showMarks(marks);
      if (grid.preview || !this.findings.takesUp(run)) continue;
      const isFixed = getComputedStyle(this.header).position === 'sticky';
      part.reveal(isFixed ? this.header.offsetHeight : 0);
      const chosen = marks.find((mark) => mark.isChosen)?.cells;
      if (!chosen) continue;
      this.#noteCursor({run: run.name, step: grid.steps[chosen.first],
        name: grid.named[chosen.from].name});
    }
  }

  /** Shows the worst finding of the run that was opened, once it is known. */
  #goToWorst(run) {
    if (run.error || !this.findings.of(run)) return;
    this.#opened = '';
    this.findings.goToWorst(run);
  }

  #open(name) {
    const isOpen = this.#view.solo === name;
    this.#opened = isOpen ? '' : name;
    this.#state.set({solo: isOpen ? null : name, comparing: false});
    window.scrollTo({top: 0});
  }

  #pin(name) {
    const {pins} = this.#view;
    const kept = pins.includes(name) ? pins.filter((one) => one !== name)
      : [...pins.slice(-1), name];
    this.#state.set({pins: kept,
      comparing: this.#view.comparing && kept.length === 2});
  }

  #fold(block) {
    const {unfolded} = this.#view;
    const all = this.#grids().flatMap((grid) => grid.blocks ?? [])
      .map(({name}) => name);
    const next = block === null ? (unfolded.length ? [] : [...new Set(all)])
      : unfolded.includes(block) ? unfolded.filter((one) => one !== block)
        : [...unfolded, block];
    this.#state.note({unfolded: next});
    this.draw();
  }

  #setZoom(zoom) {
    if (zoom === this.#view.zoom) return;
    this.#view.zoom = zoom;
    this.heatmaps.setZoom(zoom, (name) => this.#sight.has(name));
    this.comparison.setZoom(zoom);
    this.detail.setZoom(zoom);
    this.#noteSoon();
  }

  #timer = 0;

  /** Stores what moves all the time when it rests. */
  #noteSoon() {
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => this.#state.note({}), 400);
  }

  #noteCursor(cursor) {
    this.#view.cursor = cursor;
    this.#noteSoon();
  }

  #moveCursor({run, row, column}, byKey) {
    const grid = this.#gridOf(run);
    if (!grid) return;
    this.#noteCursor({run, step: grid.steps[column],
      name: grid.named[row].name});
    this.#drawReadout(byKey);
    if (grid.silence) return;
    grid.learn?.().then(() => this.#drawReadout(byKey));
  }

  /** Shows the cursor's step in all runs, its cell in one. */
  #drawReadout(aloud) {
    const {cursor} = this.#view;
    const cell = this.heatmaps.drawCursor(cursor,
      (name) => this.#sight.has(name));
    const ratio = this.comparison.drawCursor(cursor);
    this.detail.drawCursor(cursor);
    this.readout.update(cell ?? ratio, aloud);
  }

  #openLayer(name, row) {
    const grid = this.#gridOf(name);
    const run = this.#runs.find((one) => one.name === name);
    const layer = layerOf(run, grid.named[row]);
    if (layer) this.#state.set({layer: {run: name, layer}});
    this.detail.focus();
  }

  #closeLayer() {
    const part = this.heatmaps.of(this.#view.layer?.run);
    this.#state.set({layer: null});
    part?.focus();
  }

  #drawDetail() {
    const {layer, zoom} = this.#view;
    const part = layer && this.heatmaps.of(layer.run);
    const run = this.#runs?.find((one) => one.name === layer?.run);
    if (part && run && !run.error) {
      if (this.detail.node.parentNode !== part.more) {
        part.more.append(this.detail.node);
      }
      this.detail.update(run, layer.layer, zoom);
    } else {
      this.detail.hide();
    }
  }
}

/** Returns the layer of a row, nothing if it has none, as data have. */
function layerOf(run, {name, group}) {
  if (group) return group.slice(0, group.lastIndexOf('/')) || group;
  const variable = run.variables.find((one) => one.name === name);
  if (variable) return variable.layer;
  if (run.layers.includes(name)) return name;
  const state = run.states.find((one) => one.name === name);
  if (state) return state.layer;
  const activation = run.activations.find((one) => one.name === name);
  return activation ? name.slice(0, name.lastIndexOf('/')) || name : null;
}
