/** Wires the choices, the requests and the heatmaps together. */

import {outside} from './cells.js';
import {createColors, lookOf} from './colormap.js';
import {element, keyed} from './dom.js';
import {Findings} from './findings.js';
import {runLabel} from './format.js';
import {Heatmap} from './heatmap_view.js';
import {theme} from './host.js';
import {createLegend} from './legend.js';
import {createModel} from './model.js';
import {NOTICES, captionOf, messageOf} from './notices.js';
import {createReadout, silenceAt, valueAt} from './readout.js';
import {fitDomain, isDomain, makeScale} from './scale.js';
import {
  chooseRuns, chooseStatistic, createState, statisticIn,
} from './state.js';
import {describe, grouped, statisticsOf} from './statistics.js';
import {deadIn} from './units.js';
import * as views from './views.js';

/** The whole page; `node` goes into the document. */
export class Page {
  #model = createModel();
  #state = createState(() => this.show());
  #colorOf = createColors();
  // Null until the server has answered for the first time.
  #runs = null;
  #failure = null;
  #updated = 0;
  // Of each run shown: `{statistic, rows, grid, error}`, as last fetched.
  #results = new Map();
  #cursor = null;
  #look = null;

  constructor() {
    const set = (changes) => this.#state.set(changes);
    this.list = views.createRunList({
      colorOf: this.#colorOf,
      onFilter: (filter) => set({filter}),
      onCheck: (name, checked) =>
        set({checked: {...this.#view.checked, [name]: checked}}),
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
      colorOf: this.#colorOf,
      onChange: () => this.draw(),
      onFold: (folded) => {
        if (folded !== this.#view.folded) set({folded});
      },
      onStatistic: (name) => name ? choose(name) : this.draw(),
    });
    this.header = element('header', {},
      this.choices.node, this.legend.node, this.readout.node);
    const heatmaps = element('div');
    this.updateHeatmaps = keyed(heatmaps, (run) => run.name,
      () => new Heatmap((...cell) => this.#moveCursor(...cell)));
    this.node = element('div', {className: 'page'}, this.list.node,
      element('main', {}, this.findings.node, this.header,
        this.notice.node, heatmaps));
  }

  /** Asks the server which runs there are, then shows them. */
  async reload() {
    try {
      const runs = await this.#model.runs();
      if (!runs) return;
      runs.forEach((run) => this.#colorOf(run.name));
      this.#runs = runs;
      this.#failure = null;
      this.#updated = Date.now();
    } catch (error) {
      this.#failure = error.message;
    }
    await this.show();
  }

  /** Fetches what the view needs; what is on the screen stays until then. */
  async show() {
    this.draw();
    const {statistic, rows} = this.#view;
    const readable = this.#chosen().shown.filter((run) => !run.error);
    await this.#model.grids(readable, statistic, rows, (run, grid, error) => {
      this.#results.set(run.name, {statistic, rows, grid, error});
      this.draw();
    });
    await this.findings.follow(readable);
  }

  /** Draws what was fetched. */
  draw() {
    const {shown} = this.#chosen();
    const {statistic, rows} = this.#view;
    const names = shown.flatMap((run) => statisticsOf(run));
    this.notice.update(this.#noticeFor(shown));
    this.header.hidden = !names.length;
    // Runs without the chosen statistic say so; it must not vanish meanwhile.
    this.choices.update(
      {groups: grouped([...names, statistic]), statistic, rows});
    this.#drawLegend();
    this.findings.draw(shown.filter((run) => !run.error), this.#view.folded);
    this.#drawHeatmaps(shown);
    this.#drawReadout(false);
    this.drawRunList();
  }

  /** Whether there is no run yet; TensorBoard may still be reading them. */
  get isEmpty() {
    return !this.#runs?.length;
  }

  /** Draws the left column, whose ages grow. */
  drawRunList() {
    const {listed, shown, error} = this.#chosen();
    this.list.update({listed, shown, problem: error,
      text: this.#view.filter, lines: views.statusLines(shown, this.#updated)});
  }

  get #view() {
    return this.#state.view;
  }

  #chosen() {
    return chooseRuns(this.#runs ?? [], this.#view, runLabel);
  }

  /** Returns what was fetched of a run for the present view, or nothing. */
  #result(run) {
    if (run.error) return {error: run.error};
    const result = this.#results.get(run.name);
    return result?.statistic === this.#view.statistic
      && result.rows === this.#view.rows ? result : {};
  }

  #grids() {
    return this.#chosen().shown.flatMap((run) => this.#result(run).grid ?? []);
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
    if (this.#failure) return {...NOTICES.unreachable, lines: [this.#failure]};
    if (!this.#runs) return NOTICES.loading;
    if (!this.#runs.length) return NOTICES.noRuns;
    return shown.length ? null : NOTICES.noneChosen;
  }

  #drawLegend() {
    const description = describe(this.#view.statistic);
    const chosen = this.#view.domains[this.#view.statistic];
    // What an earlier version stored may not fit the statistic any more.
    const isDefault = !isDomain(chosen, description.scale);
    const scale = makeScale(
      {...description, domain: isDefault ? description.domain : chosen});
    this.#look = lookOf(scale, description, theme(), this.#look);
    this.legend.update({description, scale, look: this.#look,
      isDefault, count: outside(this.#grids(), scale)});
  }

  #drawHeatmaps(shown) {
    const description = describe(this.#view.statistic);
    this.updateHeatmaps(shown).forEach((heatmap, index) => {
      const run = shown[index];
      const {grid, error} = this.#result(run);
      const caption = captionOf(description,
        description.rows ?? this.#view.rows);
      heatmap.update({
        run: run.name,
        label: runLabel(run.name),
        color: this.#colorOf(run.name),
        caption: run.error ? '' : caption,
        finding: deadIn(grid),
        message: error ?? messageOf(grid, this.#view.rows, description),
        isError: error || (grid?.rows && !description.optional),
        grid,
        look: this.#look,
      });
      if (grid) this.#drawMarks(heatmap, run, grid);
    });
  }

  #drawMarks(heatmap, run, grid) {
    heatmap.showMarks(this.findings.marksOf(run, grid,
      describe(this.#view.statistic).rows ?? this.#view.rows));
    if (!this.findings.takesUp(run)) return;
    const isFixed = getComputedStyle(this.header).position === 'sticky';
    heatmap.reveal(isFixed ? this.header.offsetHeight : 0);
  }

  #moveCursor({run, row, column}, byKey) {
    const {grid} = this.#results.get(run);
    this.#cursor = {run, row, column, step: grid.steps[column],
      name: grid.named[row].name};
    this.#drawReadout(byKey);
    if (grid.silence) return;
    grid.learn?.().then(() => this.#drawReadout(byKey));
  }

  /** Shows the cursor's step in all runs, its cell in one. */
  #drawReadout(aloud) {
    const {shown} = this.#chosen();
    let cell = null;
    this.updateHeatmaps(shown).forEach((heatmap, index) => {
      const run = shown[index];
      const text = valueAt(this.#result(run).grid, this.#cursor);
      heatmap.showCursor(this.#cursor, text);
      if (run.name !== this.#cursor?.run || !text) return;
      const {grid} = this.#result(run);
      cell = {step: this.#cursor.step, label: runLabel(run.name), text,
        color: this.#colorOf(run.name), more: silenceAt(grid, this.#cursor),
        row: grid.named.find(({name}) => name === this.#cursor.name)};
    });
    this.readout.update(cell, aloud);
  }
}
